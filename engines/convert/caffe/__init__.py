"""Caffe → ONNX, by a reader of our own: neither Caffe nor a compiled protobuf schema is needed.

The network ends where SSD's ``DetectionOutput`` would begin: box decoding and NMS belong to the
stage that follows a detector, where they are configured, and few backends run ONNX's
NonMaxSuppression, whose output has no fixed shape. What `DetectionOutput` would take becomes
outputs instead: deltas, scores, and the priors as a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.convert.caffe.building import Graph, Work, save
from engines.convert.caffe.layers import LAYERS
from engines.convert.caffe.network import Layer, read_network
from engines.convert.caffe.weights import Blobs, read_weights
from engines.convert.graph import library
from engines.errors import ProgramError
from engines.program import Network

#: Layers after which nothing can come; their bottoms become outputs.
LEFT_OUT = ("DetectionOutput",)


def convert(source: Network, folder: Path, precision: str) -> Network:
    """Writes a Caffe network as ONNX, opset 17, with the shapes its ``.prototxt`` fixes.

    Args:
        source: its path is the ``.prototxt``; the ``.caffemodel`` lies beside it.
            Declared outputs may be any blobs; without, they are those that no layer reads.
        folder: for the ``.onnx``, which is named after the source.
        precision: fp32; nothing else is possible.

    Returns:
        The network with its tensors declared.

    Raises:
        ProgramError: a file cannot be read, a layer cannot be converted (its type and line are
            named), or another precision is asked for.
        EngineUnavailable: the package onnx is missing.
    """
    if precision != "fp32":
        raise ProgramError(f"{source}: Caffe to ONNX is possible in fp32 only, not in {precision}")
    if source.content is not None:
        raise ProgramError(f"{source}: Caffe's networks are read from their two files only")
    graph = _graph(source.path)
    path = folder / f"{source.path.stem}.onnx"
    save(graph.model([spec.name for spec in source.outputs]), path)
    inputs, outputs = graph.specs([spec.name for spec in source.outputs])
    return Network(path, "onnx", source.inputs or inputs, source.outputs or outputs,
                   precision="fp32")  # fmt: skip


def described(prototxt: Path, outputs: Sequence[str] = ()) -> Network:
    """A Caffe network with its tensors declared.

    Args:
        prototxt: the ``.caffemodel`` lies beside it.
        outputs: blobs that are its outputs; empty for those that no layer reads.

    Raises:
        ProgramError: as `convert`, or there is no such blob.
    """
    inputs, results = _graph(prototxt).specs(outputs)
    return Network(prototxt, "caffe", inputs, results, precision="fp32")


def weights_beside(prototxt: Path) -> Path:
    """The ``.caffemodel`` of a ``.prototxt``: that of its name, else the only one beside it.

    Raises:
        ProgramError: there is none, or several of other names.
    """
    weights = prototxt.with_suffix(".caffemodel")
    if weights.is_file():
        return weights
    others = sorted(prototxt.parent.glob("*.caffemodel"))
    if len(others) != 1:
        raise ProgramError(
            f"{weights}: no such file; put the weights of {prototxt.name} there under that name"
        )
    return others[0]


def _graph(prototxt: Path) -> Graph:
    library("converting from Caffe")
    network, weights = read_network(prototxt), read_weights(weights_beside(prototxt))
    graph = Graph(network)
    for layer in network.layers:
        if layer.type not in LEFT_OUT:
            _add(layer, graph, weights.get(layer.name, []))
    return graph


def _add(layer: Layer, graph: Graph, blobs: Blobs) -> None:
    make = LAYERS.get(layer.type)
    if make is None:
        raise ProgramError(
            f"{layer}: layers of type {layer.type or '(none)'} cannot be converted; those of "
            f"{', '.join(LAYERS)} can"
        )
    work = Work(layer, graph, blobs)
    # A number too big for its type becomes an infinity, as it would in Caffe.
    with np.errstate(all="ignore"):
        make(work)
    work.finish()
