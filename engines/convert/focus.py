"""YOLOX's Focus layer as one convolution.

Focus cuts an image into its four half-size images (even and odd rows and columns), stacks them
along the channels and convolves (Ge et al., "YOLOX", 2021). That is one convolution of twice the
kernel, padding and stride over the whole image: a weight of the half-size image with rows ``2i+dy``
and columns ``2j+dx`` belongs at row ``2i+dy`` and column ``2j+dx`` of the larger kernel. Runtimes
without strided slices can run the latter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants

#: Axes of the rows and columns of an NCHW tensor.
_ROWS, _COLUMNS = 2, 3


def fold(model: Any) -> int:
    """Replaces every Focus of an ONNX model, in place; gives how many there were.

    Only where the stacked tensor goes into one ungrouped convolution of constant weights and is
    read nowhere else.
    """
    graph = model.graph
    known = onnx_graph.constants(graph)
    makers = {name: node for node in graph.node for name in node.output}
    read = onnx_graph.uses(graph)
    folded = 0
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        stacked = makers.get(conv.input[0])
        if stacked is None or stacked.op_type != "Concat" or read[conv.input[0]] != 1:
            continue
        phases = _phases(stacked, makers, known)
        if phases is not None and conv.input[1] in known and _is_plain(conv):
            image, offsets = phases
            _rewrite(graph, conv, image, _spread(known[conv.input[1]], offsets))
            folded += 1
    if folded:
        onnx_graph.drop_unread(graph)
    return folded


def _phases(
    concat: Any, makers: dict[str, Any], known: Constants
) -> tuple[str, list[tuple[int, int]]] | None:
    """The image a ``Concat`` stacks the four halves of, and the (row, column) each starts at."""
    if onnx_graph.attributes(concat)["axis"] != 1 or len(concat.input) != 4:
        return None
    found = [_phase(name, makers, known) for name in concat.input]
    images = {image for image, _ in found}
    offsets = [(axes.get(_ROWS), axes.get(_COLUMNS)) for _, axes in found]
    whole = {(0, 0), (0, 1), (1, 0), (1, 1)}
    if len(images) != 1 or set(offsets) != whole or any(len(axes) != 2 for _, axes in found):
        return None
    return images.pop(), [(dy or 0, dx or 0) for dy, dx in offsets]


def _phase(name: str, makers: dict[str, Any], known: Constants) -> tuple[str, dict[int, int]]:
    """Back through ``Slice`` nodes of step 2 that run to the end: their root, axis → start."""
    starts: dict[int, int] = {}
    while name in makers and makers[name].op_type == "Slice":
        cut = onnx_graph.slices(makers[name], known)
        if cut is None or any(c.step != 2 or c.stop < 1 << 15 for c in cut):
            break
        if any(c.axis in starts for c in cut):
            break
        starts.update({c.axis: c.start for c in cut})
        name = makers[name].input[0]
    return name, starts


def _is_plain(conv: Any) -> bool:
    given = onnx_graph.attributes(conv)
    return (
        given.get("group", 1) == 1
        and given.get("auto_pad", "NOTSET") == "NOTSET"
        and set(given.get("dilations", [1])) == {1}
    )


def _spread(weight: NDArray[Any], offsets: list[tuple[int, int]]) -> NDArray[Any]:
    """Weights (out, 4·channels, k, k) of the halves as (out, channels, 2k, 2k) of the image."""
    out, stacked, height, width = weight.shape
    channels = stacked // len(offsets)
    spread = np.zeros((out, channels, 2 * height, 2 * width), weight.dtype)
    for index, (dy, dx) in enumerate(offsets):
        half = weight[:, index * channels : (index + 1) * channels]
        spread[:, :, dy::2, dx::2] = half
    return spread


def _rewrite(graph: Any, conv: Any, image: str, weight: NDArray[Any]) -> None:
    from onnx import helper, numpy_helper

    given = onnx_graph.attributes(conv)
    name = f"{conv.output[0]}/focus"
    graph.initializer.append(numpy_helper.from_array(weight, name))
    del conv.attribute[:]
    conv.attribute.extend(
        [
            helper.make_attribute("kernel_shape", weight.shape[2:]),
            helper.make_attribute("strides", [2 * n for n in given.get("strides", [1, 1])]),
            helper.make_attribute("pads", [2 * n for n in given.get("pads", [0, 0, 0, 0])]),
        ]
    )
    conv.input[0], conv.input[1] = image, name
