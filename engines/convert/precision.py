"""Which precision a network's file is in, told from the file alone."""

from __future__ import annotations

from pathlib import Path

#: Parts of the names of all operators that compute with, or store, quantised numbers:
#: https://onnx.ai/onnx/operators/ (`QuantizeLinear`, `DequantizeLinear`, `QLinearConv` …).
_QUANTISED = (b"uantizeLinear", b"QLinear", b"ConvInteger", b"MatMulInteger")


def told_precision(path: Path, format_: str) -> str:
    """``int8`` for a quantised ONNX network, ``fp32`` for another one; empty for other formats."""
    if format_ != "onnx":
        return ""
    content = path.read_bytes()
    return "int8" if any(operator in content for operator in _QUANTISED) else "fp32"
