"""ONNX to OpenVINO's IR: a description (.xml) and its weights (.bin) beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engines.errors import EngineUnavailable, ProgramError
from engines.openvino import INSTALL, library
from engines.program import Network


def convert(source: Network, folder: Path, precision: str) -> Network:
    """Writes ``<name>.xml`` and ``<name>.bin``.

    Args:
        source: an ONNX network.
        folder: that the two files go to.
        precision: of the weights: that of the source, or fp16 for a source in fp32.

    Raises:
        ProgramError: OpenVINO cannot read the network, or not store it in that precision.
        EngineUnavailable: OpenVINO is missing.
    """
    stored = source.precision or "fp32"
    if precision != stored and (stored, precision) != ("fp32", "fp16"):
        raise ProgramError(
            f"{source}: stored in {stored}; OpenVINO's IR can have it in "
            f"{'fp32 or fp16' if stored == 'fp32' else stored}, not in {precision}"
        )
    try:
        ov = library()
    except ImportError as error:
        raise EngineUnavailable(f"converting to OpenVINO: {error}; run: {INSTALL}") from error
    path = folder / f"{source.path.stem}.xml"
    try:
        model = ov.Core().read_model(str(source.path))
        # OpenVINO stores fp16 unless told otherwise.
        ov.save_model(model, str(path), compress_to_fp16=precision == "fp16")
    except RuntimeError as error:
        raise ProgramError(f"{source}: OpenVINO cannot convert it: {error}") from error
    return replace(source, path=path, format="openvino", sha256=None, precision=precision)
