"""A Caffe network as its ``.prototxt`` says it: inputs, and layers in the order they run.

The schema is ``caffe.proto`` (https://github.com/BVLC/caffe, src/caffe/proto); both its layers
(``layer``) and the older ones (``layers``, V1) are read, and the layers of the test phase kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

from engines.convert.caffe.text import MAX_INT, Message, read_text
from engines.errors import ProgramError

Shape = tuple[int, ...]

#: Names of V1 layer types that are not simply today's in capitals without underscores.
_V1_TYPES = {
    "ABSVAL": "AbsVal",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONVOLUTION": "Convolution",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "ELTWISE": "Eltwise",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SPLIT": "Split",
    "TANH": "TanH",
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        name: by which its weights are found.
        type: such as ``Convolution``.
        bottoms: blobs it takes.
        tops: blobs it gives; one of `bottoms` where it works in place.
        message: everything written about it.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    message: Message

    def __str__(self) -> str:
        return f"{self.message.where}: layer {self.name!r} ({self.type})"


@dataclass(frozen=True, slots=True)
class CaffeNetwork:
    """A network without its weights.

    Attributes:
        name: given by its author.
        inputs: shape of each by name.
        layers: in the order they run, without the layers that are inputs.
    """

    name: str
    inputs: dict[str, Shape]
    layers: tuple[Layer, ...]


def read_network(path: Path) -> CaffeNetwork:
    """Reads a ``.prototxt`` of a network that is to be run, not trained.

    Raises:
        ProgramError: it cannot be read, or has no input of known shape or no layer.
    """
    text = read_text(path)
    layers = [_layer(message) for message in text.messages("layer")]
    layers += [_v1_layer(message) for message in text.messages("layers")]
    inputs = _declared_inputs(text)
    for layer in layers:
        if layer.type == "Input":
            inputs |= _layer_inputs(layer)
    kept = tuple(layer for layer in layers if layer.type != "Input" and _in_test(layer.message))
    if not kept:
        raise ProgramError(f"{path}: no layer in it; expected a network's layers: layer {{ … }}")
    if not inputs:
        raise ProgramError(
            f"{path}: no input; a network that can be run has a layer of type Input, or input and "
            "input_shape (the .prototxt for training reads its data itself)"
        )
    return CaffeNetwork(text.string("name", path.stem), inputs, kept)


def _layer(message: Message) -> Layer:
    return Layer(
        message.string("name"),
        message.string("type"),
        tuple(message.strings("bottom")),
        tuple(message.strings("top")),
        message,
    )


def _v1_layer(message: Message) -> Layer:
    layer = _layer(message)
    return Layer(layer.name, _V1_TYPES.get(layer.type, layer.type), layer.bottoms, layer.tops,
                 message)  # fmt: skip


def _declared_inputs(text: Message) -> dict[str, Shape]:
    """``input`` with ``input_shape``, or with four ``input_dim`` each."""
    names = text.strings("input")
    shapes = [_shape(message) for message in text.messages("input_shape")]
    if not shapes:
        dims = text.integers("input_dim", 1)
        if len(dims) != 4 * len(names):
            raise ProgramError(
                f"{text.where}: {len(names)} inputs need four input_dim each, found {len(dims)}"
            )
        shapes = [_bounded(text, dims[4 * i : 4 * i + 4]) for i in range(len(names))]
    if len(shapes) != len(names):
        raise ProgramError(
            f"{text.where}: {len(names)} inputs, but {len(shapes)} times input_shape"
        )
    return dict(zip(names, shapes, strict=True))


def _layer_inputs(layer: Layer) -> dict[str, Shape]:
    """The tops of an ``Input`` layer: a shape for each, or one for all."""
    shapes = [_shape(part) for part in layer.message.message("input_param").messages("shape")]
    if len(shapes) not in (1, len(layer.tops)):
        raise ProgramError(f"{layer}: expected a shape for each top or one for all, found "
                           f"{len(shapes)} for {len(layer.tops)}")  # fmt: skip
    return dict(zip(layer.tops, shapes * len(layer.tops), strict=False))


def _shape(message: Message) -> Shape:
    return _bounded(message, message.integers("dim", 1))


def _bounded(message: Message, dims: list[int]) -> Shape:
    if not dims or len(dims) > 8 or prod(dims) > MAX_INT:
        raise ProgramError(f"{message.where}: no shape of an input: {dims[:9]}")
    return tuple(dims)


def _in_test(message: Message) -> bool:
    """Whether Caffe's rules leave the layer in a network that is run (phase TEST)."""
    if message.fields.get("include"):
        return any(_met(rule) for rule in message.messages("include"))
    return not any(_met(rule) for rule in message.messages("exclude"))


def _met(rule: Message) -> bool:
    return (
        rule.string("phase", "TEST") in ("TEST", "1")
        and not rule.strings("stage")
        and rule.integer("min_level", 0, -MAX_INT) <= 0
        and rule.integer("max_level", 0, -MAX_INT) >= 0
    )
