"""ONNX → ncnn, by pnnx (https://github.com/pnnx/pnnx), which ncnn's own project makes."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from engines.convert import focus
from engines.convert import graph as onnx_graph
from engines.errors import EngineUnavailable, ProgramError
from engines.ncnn_network import read_blobs, weights_path
from engines.program import Network

INSTALL = "pip install pnnx"
_TIMEOUT_S = 600
_STEM = "network"


def convert(source: Network, folder: Path, precision: str) -> Network:
    """Writes ``network.param`` and ``network.bin`` into a folder.

    YOLOX's Focus becomes a convolution first, since ncnn has no strided slice. Tensors keep their
    names. ncnn has no batch axis: the network is converted for one image, and its engine runs a
    batch as images one after another.

    Args:
        source: an ONNX network; all axes of its inputs but the first have a fixed length.
        folder: that exists.
        precision: ``fp32``, or ``fp16`` for weights stored in half precision.

    Raises:
        ProgramError: it is no ONNX network, or has what pnnx or ncnn cannot do; says what.
        EngineUnavailable: ``onnx``, ``pnnx`` or ``ncnn`` is missing.
    """
    if precision not in ("fp32", "fp16"):
        raise ProgramError(f"{source}: pnnx stores fp32 or fp16, not {precision}")
    model = onnx_graph.load(source.path)
    inputs = onnx_graph.specs(onnx_graph.inputs(model.graph), source.inputs)
    outputs = onnx_graph.specs(model.graph.output, source.outputs)
    onnx_graph.pin_one_image(model, inputs)
    focus.fold(model)
    _tell_splits(model)
    names = {f"in{n}": spec.name for n, spec in enumerate(inputs)}
    names |= {f"out{n}": spec.name for n, spec in enumerate(outputs)}
    path = folder / f"{_STEM}.param"
    with TemporaryDirectory(prefix="sightline-pnnx-") as work:
        made = _run_pnnx(source, model, Path(work), half=precision == "fp16")
        named = Path(work) / path.name
        named.write_text(_renamed(made.read_text(), names))
        read_blobs(named)  # what ncnn has no layer for is named here
        _put(weights_path(path), weights_path(made).read_bytes())
        _put(path, named.read_bytes())
    return Network(path, "ncnn", inputs, outputs, precision=precision)


def _run_pnnx(source: Network, model: Any, work: Path, half: bool) -> Path:
    """The ``.param`` pnnx makes of a model, in a folder it may fill with whatever it wants."""
    import onnx

    package = find_spec("pnnx")  # not imported: that would import torch
    if package is None or package.origin is None:
        raise EngineUnavailable(f"ONNX to ncnn: no module named 'pnnx'; run: {INSTALL}")
    onnx.save(model, work / f"{_STEM}.onnx")
    command = [str(Path(package.origin).with_name("pnnx")), f"{_STEM}.onnx", f"fp16={int(half)}"]
    done = subprocess.run(
        command, cwd=work, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S
    )
    made = work / f"{_STEM}.ncnn.param"
    if done.returncode or not made.is_file():
        said = (done.stderr.strip() or done.stdout.strip())[-300:]
        raise ProgramError(f"{source}: pnnx ended with status {done.returncode}: {said}")
    return made


def _tell_splits(model: Any) -> None:
    """Gives every ``Split`` the lengths of its parts, which pnnx otherwise takes for none."""
    from onnx import helper, numpy_helper

    graph, shapes = model.graph, onnx_graph.shapes(model.graph)
    for node in graph.node:
        given = onnx_graph.attributes(node)
        if node.op_type != "Split" or len(node.input) > 1 or "split" in given:
            continue
        parts = [shapes[name][given.get("axis", 0)] for name in node.output]
        if onnx_graph.opset(model) < 13:
            node.attribute.append(helper.make_attribute("split", parts))
            continue
        name = f"{node.output[0]}/split"
        graph.initializer.append(numpy_helper.from_array(np.array(parts, np.int64), name))
        node.input.append(name)
        for attribute in [a for a in node.attribute if a.name == "num_outputs"]:
            node.attribute.remove(attribute)


def _renamed(param: str, names: dict[str, str]) -> str:
    """A ``.param`` with pnnx's ``in0``, ``out0`` … under the names they had.

    pnnx numbers what lies between, and a network's own names may be numbers too: those step aside.
    """
    head, lines = param.split("\n")[:2], param.split("\n")[2:]
    taken = set(names.values())
    return "\n".join(head + [_line_renamed(line, names, taken) for line in lines])


def _line_renamed(line: str, names: dict[str, str], taken: set[str]) -> str:
    fields = line.split()
    if not fields:
        return line
    end = 4 + int(fields[2]) + int(fields[3])
    blobs = [names.get(name, f"{name}_" if name in taken else name) for name in fields[4:end]]
    return " ".join([*fields[:4], *blobs, *fields[end:]])


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
