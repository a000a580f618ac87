"""ONNX to a TensorRT plan (.plan), for the GPU and the TensorRT of this machine only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engines.errors import ProgramError
from engines.program import Network
from engines.tensorrt import TensorRtEngine, TensorRtOptions


def convert(source: Network, folder: Path, precision: str) -> Network:
    """Builds ``<name>.plan`` on the first GPU; this takes minutes, loading it a second.

    Args:
        source: an ONNX network.
        folder: that the plan goes to.
        precision: that of the source, or fp16 for a source in fp32.

    Raises:
        ProgramError: TensorRT cannot build the network, or not in that precision.
        EngineUnavailable: TensorRT, the driver or a GPU is missing.
    """
    path = folder / f"{source.path.stem}.plan"
    with TensorRtEngine("builder", "cuda:0", TensorRtOptions(), precision) as engine:
        engine.init()
        if source.format != "onnx":
            raise ProgramError(f"{source}: expected an ONNX network, got {source.format}")
        path.write_bytes(engine.build(source))
    return replace(source, path=path, format="tensorrt", sha256=None, precision=precision)
