"""From a network's outputs to objects in source pixels."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from pipeline.detection.boxes import area
from pipeline.detection.detections import Detections
from pipeline.detection.heads.base import Head, Outputs
from pipeline.detection.nms import nms
from pipeline.errors import ConfigError
from pipeline.media.geometry import Placement


class Postprocessor:
    """Decodes, filters, suppresses, and goes back to the picture. Keeps no state between frames.

    Args:
        head: of the model.
        labels: the model's class names.
        score: objects below are left out, 0..1.
        nms_iou: boxes of one class that overlap by more are one object, 0..1.
        classes: names of the classes that count; None for all.
        max_detections: of the best scores are kept.

    Attributes:
        head: of the model.
        classes: how many the model knows.
        score: objects below are left out, 0..1.
        nms_iou: boxes of one class that overlap by more are one object, 0..1.
        limit: of the best scores are kept.
        wanted: labels that count; None for all.

    Raises:
        ConfigError: `classes` has a name the model does not know; the nearest one is suggested.
    """

    def __init__(
        self,
        head: Head,
        labels: Sequence[str],
        *,
        score: float = 0.25,
        nms_iou: float = 0.5,
        classes: Sequence[str] | None = None,
        max_detections: int = 300,
    ) -> None:
        self.head = head
        self.classes = len(labels)
        self.score = score
        self.nms_iou = nms_iou
        self.limit = max_detections
        self.wanted = None if classes is None else wanted_labels(labels, classes)

    def __call__(self, outputs: Outputs, placement: Placement) -> Detections:
        """Objects of one picture, in source pixels, clipped to it, by falling score.

        Args:
            outputs: the network's outputs by name, each with a leading 1, finite; only read.
            placement: how the picture lay in the network's input.
        """
        found = self.select(outputs, placement.input_width, placement.input_height)
        return to_source(found, placement)

    def select(self, outputs: Outputs, width: int, height: int) -> Detections:
        """Objects of one picture, in pixels of the network's input, by falling score.

        Args:
            outputs: as in a call.
            width: of the network's input, pixels.
            height: of the network's input, pixels.
        """
        found = self.head.decode(single(outputs), width, height, self.score)
        if self.wanted is not None:
            found = found.take(np.isin(found.labels, self.wanted))
        if self.head.needs_nms:
            best = nms(found.boxes_xyxy, found.scores, found.labels, self.nms_iou, self.limit)
        else:
            best = np.argsort(-found.scores, kind="stable")[: self.limit]
        return found.take(best)


def to_source(found: Detections, placement: Placement) -> Detections:
    """Objects in input pixels as such in source pixels; those outside the picture are left out."""
    boxes = placement.to_source(found.boxes_xyxy)
    inside = area(boxes) > 0
    return Detections(boxes, found.scores, found.labels).take(inside)


def single(outputs: Outputs) -> Outputs:
    """The outputs with every float tensor as float32, whatever precision the network has."""
    return {
        name: array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array
        for name, array in outputs.items()
    }


def wanted_labels(labels: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    """The labels that the names stand for; `ConfigError` names what is not one of them."""
    for name in classes:
        if name not in labels:
            near = get_close_matches(name, labels, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigError(
                f"classes: the model knows no {name!r}{hint}; it knows {', '.join(labels)}"
            )
    return tuple(index for index, name in enumerate(labels) if name in classes)
