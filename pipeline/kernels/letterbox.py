"""letterbox: a picture becomes a network's input."""

from __future__ import annotations

import numpy as np

from engines.program import Kernel, Tensors
from engines.tensor import TensorSpec
from pipeline.kernels.onnx_graph import OnnxGraph
from pipeline.media.picture import BgrPicture
from pipeline.media.preprocess import Preprocessor


def letterbox(preprocessor: Preprocessor, width: int, height: int) -> Kernel:
    """Scales a picture into the network's input, fills the border, orders and maps the channels.

    Input ``image``: (1, height, width, 3) uint8 BGR. Output ``tensor``: as the preprocessor says.
    The two forms differ by at most one level of the picture (1 of 255 before scale, mean and std),
    because OpenCV scales 8-bit pictures in fixed point.

    Args:
        preprocessor: of the network.
        width: of the picture, pixels.
        height: of the picture, pixels.
    """
    picture = TensorSpec("image", (1, height, width, 3), np.dtype(np.uint8), "nhwc")
    tensor = preprocessor.output

    def host(tensors: Tensors) -> Tensors:
        return {tensor.name: preprocessor(BgrPicture(tensors["image"][0]))[0]}

    def onnx() -> bytes:
        graph = OnnxGraph("letterbox")
        _normalise(graph, preprocessor, _placed(graph, preprocessor, width, height))
        return graph.finish((picture,), (tensor,))

    return Kernel(
        "letterbox", {"width": width, "height": height}, (picture,), (tensor,), host, onnx
    )


def _placed(graph: OnnxGraph, preprocessor: Preprocessor, width: int, height: int) -> str:
    """The picture in the network's size, with its border: (1, 3, h, w) float32, whole levels."""
    where = preprocessor.placement(width, height)
    image = graph.node("Transpose", "image", perm=[0, 3, 1, 2])
    image = graph.node("Cast", image, to=graph.dtype(np.float32))
    scaled = (where.resized_width, where.resized_height)
    if scaled != (width, height):
        # OpenCV's INTER_LINEAR: pixels have their centres at half coordinates, no smoothing.
        image = graph.node(
            "Resize", image, "", "", [1, 3, scaled[1], scaled[0]],
            mode="linear", coordinate_transformation_mode="half_pixel",
        )  # fmt: skip
        image = graph.node("Round", image)
    right = where.input_width - where.left - scaled[0]
    below = where.input_height - where.top - scaled[1]
    pads = [0, 0, where.top, where.left, 0, 0, below, right]
    return graph.node("Pad", image, pads, float(preprocessor.spec.pad)) if any(pads) else image


def _normalise(graph: OnnxGraph, preprocessor: Preprocessor, image: str) -> None:
    """Levels to the network's values, in its order of channels, layout and dtype."""
    spec, output = preprocessor.spec, preprocessor.output
    if spec.color == "rgb":
        image = graph.node("Gather", image, [2, 1, 0], axis=1)
    mean, std = (np.array(row).reshape(1, 3, 1, 1) for row in (spec.mean, spec.std))
    image = graph.node("Mul", image, spec.scale / std)
    image = graph.node("Sub", image, mean / std)
    if output.dtype == np.uint8:
        image = graph.node("Round", image)
    if output.layout == "nhwc":
        image = graph.node("Transpose", image, perm=[0, 2, 3, 1])
    if output.layout == "chw":
        image = graph.node("Squeeze", image, [0])
    graph.node("Cast", image, to=graph.dtype(output.dtype), output=output.name)
