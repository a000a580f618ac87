"""What a head is: the part of a detector that turns a network's outputs into boxes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.detection.detections import Detections

if TYPE_CHECKING:
    from pipeline.kernels.onnx_graph import OnnxGraph

Outputs = Mapping[str, NDArray[Any]]
Shapes = Mapping[str, tuple[int, ...]]


class Head(BaseModel, ABC):
    """A head family with its parameters, as written under ``head:`` in a model's manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    #: False where the network itself gives each object once.
    needs_nms: ClassVar[bool] = True

    family: str

    @abstractmethod
    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        """Objects of one picture, before suppression, in no special order.

        Args:
            outputs: the network's outputs by name, each with a leading 1; only read.
            width: of the network's input, pixels.
            height: of the network's input, pixels.
            min_score: objects below are left out, as early as possible.

        Returns:
            Boxes in input pixels, not clipped, each with its best label.
        """

    @abstractmethod
    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        """Raises `ValueError` if outputs of these shapes do not fit the head.

        Args:
            shapes: of the outputs by name; -1 for an axis of any length.
            classes: how many labels the model has.
            width: of the network's input, pixels; -1 where any.
            height: of the network's input, pixels; -1 where any.
        """

    def only(self, tensors: Mapping[str, Any]) -> Any:
        """The single output of a family that has one."""
        if len(tensors) != 1:
            raise ValueError(f"head {self.family} takes one output, the model has {list(tensors)}")
        return next(iter(tensors.values()))


class OnnxHead(Head):
    """A head that can also be decoded inside an ONNX network."""

    @abstractmethod
    def decode_onnx(
        self, graph: OnnxGraph, shapes: Shapes, width: int, height: int
    ) -> tuple[str, str]:
        """Adds what `decode` does, for every row whatever its score.

        Args:
            graph: its tensors have the names of the network's outputs.
            shapes: of the network's outputs by name, each with a leading 1.
            width: of the network's input, pixels.
            height: of the network's input, pixels.

        Returns:
            Names of the tensors of the boxes (1, N, 4), xyxy in input pixels, and of each box's
            score for every class (1, N, C), float32.
        """

    def only_name(self, shapes: Shapes) -> str:
        """The name of the single output of a family that has one."""
        self.only(shapes)
        return next(iter(shapes))


def corners(graph: OnnxGraph, centres: str, sizes: str) -> str:
    """Boxes (1, N, 4) xyxy of centres and sizes, (1, N, 2) each."""
    half = graph.node("Mul", sizes, 0.5)
    low, high = graph.node("Sub", centres, half), graph.node("Add", centres, half)
    return graph.node("Concat", low, high, axis=2)


def named(tensors: Mapping[str, Any], name: str) -> Any:
    """The output a head asks for, or `ValueError` with those there are."""
    if name not in tensors:
        raise ValueError(f"head names output {name!r}, the model has {list(tensors)}")
    return tensors[name]


def expect_axis(shape: tuple[int, ...], axis: int, length: int, meaning: str) -> None:
    """Raises `ValueError` if an axis is known and not as long as it must be."""
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"output of shape {list(shape)} has no axis {axis} for {meaning}")
    if shape[axis] not in (-1, length):
        raise ValueError(
            f"axis {axis} of an output of shape {list(shape)} must be {length}: {meaning}"
        )


def best_class(scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Of (N, C) class scores: the best (N,) and its label (N,); the first among equals."""
    labels = scores.argmax(axis=1)
    best: NDArray[np.float32] = np.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
    return best, labels.astype(np.int32)
