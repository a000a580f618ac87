"""ONNX to TorchScript, by operators of our own; TorchScript and torch.export programs to ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines.convert import graph as onnx_graph
from engines.errors import EngineUnavailable, ProgramError
from engines.program import Network
from engines.tensor import TensorSpec

Specs = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]

INSTALL = "pip install 'sightline[torch,convert]'"
#: Lengths of free axes in the example a network is traced or exported with: of the batch, where one
#: would hide a broadcast, and of any other.
_BATCH, _LENGTH = 2, 64


def convert(source: Network, folder: Path, precision: str) -> Network:
    """From ONNX to TorchScript (.pt), and from either of torch's formats to ONNX.

    Args:
        source: with declared inputs and outputs where it is torch's.
        folder: that the new file goes to.
        precision: that of the source, which alone can be written.

    Raises:
        ProgramError: the network, one of its operators or the precision cannot be converted.
        EngineUnavailable: a package is missing.
    """
    stored = source.precision or "fp32"
    if precision != stored:
        raise ProgramError(
            f"{source}: stored in {stored}, and this conversion keeps it; got {precision}"
        )
    try:
        import torch
    except ImportError as error:
        raise EngineUnavailable(f"converting with torch: {error}; run: {INSTALL}") from error
    write, suffix, target = (
        (_to_torchscript, ".pt", "torchscript")
        if source.format == "onnx"
        else (_to_onnx, ".onnx", "onnx")
    )
    path = folder / f"{source.path.stem}{suffix}"
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated at every step
        inputs, outputs = write(source, path)
    return replace(
        source,
        path=path,
        format=target,
        inputs=inputs,
        outputs=outputs,
        sha256=None,
        precision=precision,
    )


def _to_torchscript(source: Network, path: Path) -> Specs:
    """Traces the graph; TorchScript does not keep the tensors' names, so they are given back."""
    import torch

    from engines.convert.torch.module import OnnxModule

    model = onnx_graph.load(source.path)
    inputs = onnx_graph.specs(onnx_graph.inputs(model.graph), source.inputs)
    outputs = onnx_graph.specs(model.graph.output, source.outputs)
    module = OnnxModule(model, str(source)).eval()
    traced = torch.jit.trace(module, _examples(inputs), check_trace=False)
    torch.jit.save(traced, str(path))
    return inputs, outputs


def _to_onnx(source: Network, path: Path) -> Specs:
    import torch

    from engines.torch import load

    if not source.inputs or not source.outputs:
        raise ProgramError(f"{source}: torch needs the inputs and outputs declared")
    names: dict[str, Any] = {
        "input_names": [spec.name for spec in source.inputs],
        "output_names": [spec.name for spec in source.outputs],
    }
    try:
        if source.format == "torch-export":
            program = torch.export.load(str(source.path))
            torch.onnx.export(program, (), str(path), dynamo=True, external_data=False, **names)
        else:
            free = {
                spec.name: {
                    axis: f"{spec.name}{axis}" for axis, n in enumerate(spec.shape) if n < 0
                }
                for spec in source.inputs
            }
            torch.onnx.export(
                load(source, "cpu"),
                _examples(source.inputs),
                str(path),
                dynamo=False,
                dynamic_axes=free,
                **names,
            )
    except ImportError as error:
        raise EngineUnavailable(f"converting with torch: {error}; run: {INSTALL}") from error
    except Exception as error:
        raise ProgramError(f"{source}: torch cannot export it to ONNX: {error}") from error
    return source.inputs, source.outputs


def _examples(inputs: Sequence[TensorSpec]) -> tuple[Any, ...]:
    import torch

    return tuple(
        torch.zeros(
            [n if n >= 0 else _LENGTH if axis else _BATCH for axis, n in enumerate(spec.shape)],
            dtype=getattr(torch, spec.dtype.name),
        )
        for spec in inputs
    )
