"""ONNX Runtime on this machine's CPU, for what the device's sums and the host segments need."""

from __future__ import annotations

from typing import Any

_ERRORS_ONLY = 3
#: What would multiply or add into a convolution's weights what stands behind it.
_FUSIONS = ["ConvMulFusion", "ConvAddFusion", "ConvBNFusion"]


def cpu_session(network: bytes, threads: int, *, as_written: bool = False) -> Any:
    """An `onnxruntime.InferenceSession` of this ONNX file, with as many threads and no spinning.

    Args:
        network: the file.
        threads: that one run may use.
        as_written: whether a convolution's weights must stay the numbers they are.
    """
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _ERRORS_ONLY
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without `enable_fallback=0` it prints a failure to stdout and tries the same once more.
    return ort.InferenceSession(
        network,
        settings,
        providers=["CPUExecutionProvider"],
        enable_fallback=0,
        disabled_optimizers=_FUSIONS if as_written else None,
    )
