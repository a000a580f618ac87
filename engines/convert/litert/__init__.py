"""ONNX → TensorFlow Lite, by a writer of our own.

What there is (November 2026): `onnx2tf` needs TensorFlow, and pins numpy, onnx and onnxruntime to
versions of its own; `litert-torch` takes torch modules, not ONNX, and brings jax, transformers,
torchao and kagglehub, some sixty packages; `litert-converter` below it is an MLIR compiler of
300 MB that takes StableHLO. The networks here need some forty operators, each of which is close to
one of TensorFlow Lite, and `ai-edge-litert` ships the file's schema. So the network is translated
operator by operator:

- `probe` runs it once or twice in ONNX Runtime: that tells every tensor's shape, and the constants;
- `operators` says what each ONNX operator becomes;
- `layout` keeps every four-axis tensor in the order it is wanted in: TensorFlow Lite has the
  channels last (NHWC), ONNX second (NCHW), and a transposition stands only where somebody asks for
  the other order;
- `writer` makes the flatbuffer.

Inputs and outputs keep names, shapes and order of axes. An axis the source leaves open stays open.
Specifications: https://github.com/onnx/onnx/blob/main/docs/Operators.md and
https://www.tensorflow.org/mlir/tfl_ops.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from engines.convert import graph
from engines.convert.litert.layout import Translation
from engines.convert.litert.operators import OPERATORS
from engines.convert.litert.probe import probe
from engines.convert.litert.writer import Writer
from engines.errors import EngineUnavailable, ProgramError
from engines.litert import INSTALL
from engines.litert_network import vouch
from engines.program import Network

PRECISION = "fp32"


def convert(source: Network, folder: Path, precision: str) -> Network:
    """Writes ``network.tflite``.

    Args:
        source: format ``onnx``; lengths its inputs declare are fixed in the new network.
        folder: exists.
        precision: ``fp32``.

    Raises:
        EngineUnavailable: ``ai-edge-litert`` or ``onnx`` is missing.
        ProgramError: another precision, a file that is no ONNX network, or an operator, named with
            its node, that is not translated.
    """
    if precision != PRECISION:
        raise ProgramError(f"{source}: litert converts to {PRECISION} only, not to {precision}")
    model = graph.load(source.path)
    graph.pin(model, source.inputs)
    try:
        writer = Writer()
    except ImportError as error:
        raise EngineUnavailable(f"litert: {error}; run: {INSTALL}") from error
    unknown = {node.op_type for node in model.graph.node} - set(OPERATORS)
    if unknown:
        raise ProgramError(
            f"{source}: no TensorFlow Lite operators for ONNX {', '.join(sorted(unknown))}"
        )
    content = _translated(source, Translation(model, probe(source, model), writer))
    path = folder / "network.tflite"
    part = folder / "network.tflite.part"
    part.write_bytes(content)
    part.replace(path)
    digest = hashlib.sha256(content).hexdigest()
    vouch(digest)
    return replace(source, path=path, format="tflite", sha256=digest, precision=PRECISION)


def _translated(source: Network, translation: Translation) -> bytes:
    for node in translation.nodes():
        try:
            OPERATORS[node.op_type](translation, node)
        except (ProgramError, LookupError, ValueError) as error:
            name = node.name or node.output[0]
            raise ProgramError(f"{source}: {node.op_type} {name!r}: {error}") from error
    return translation.finish()
