"""The RoI head's outputs as objects: what each proposal shows, and where exactly it is.

Girshick, "Fast R-CNN", arXiv:1504.08083, section 2: a head gives each proposal a score for every
class and the background, and for every class a box of its own, as deltas from the proposal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.activations import softmax
from pipeline.detection.boxes import area, clip
from pipeline.detection.deltas import Weights, decode
from pipeline.detection.detections import Detections
from pipeline.detection.nms import nms

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RoiHeadSpec:
    """How a head's outputs are read.

    Attributes:
        weights: of the deltas, see `decode`.
        background: where its logit stands among those of the classes.
        score: objects count above it, 0..1.
        nms_iou: boxes of one class that overlap by more are one object.
        keep: how many objects there are at most.
        wanted: labels that count; None for all.
    """

    weights: Weights = (10.0, 10.0, 5.0, 5.0)
    background: Literal["first", "last"] = "last"
    score: float = 0.05
    nms_iou: float = 0.5
    keep: int = 100
    wanted: tuple[int, ...] | None = None

    @property
    def classes(self) -> slice:
        """Where the classes stand among the logits."""
        return slice(1, None) if self.background == "first" else slice(0, -1)


def objects(
    spec: RoiHeadSpec,
    proposals_xyxy: Floats,
    box_deltas: Floats,
    cls_logits: Floats,
    width: float,
    height: float,
) -> Detections:
    """The objects of one picture. A proposal may become several, of different classes.

    Args:
        spec: how the outputs are read.
        proposals_xyxy: (N, 4) in input pixels.
        box_deltas: (N, 4 C): dx, dy, dw, dh of each class, without the background.
        cls_logits: (N, C + 1).
        width: of the network's input, pixels.
        height: of the network's input, pixels.

    Returns:
        In input pixels, clipped to the picture, none empty, by falling score.

    Raises:
        ValueError: logits and deltas do not fit the proposals and one another, or are not finite.
    """
    _check(len(proposals_xyxy), box_deltas, cls_logits)
    scores = softmax(cls_logits)[:, spec.classes]
    good = scores > spec.score
    if spec.wanted is not None:
        good &= np.isin(np.arange(scores.shape[1]), spec.wanted)
    roi, label = np.nonzero(good)
    deltas = box_deltas.reshape(*scores.shape, 4)[roi, label]
    boxes = clip(decode(deltas, proposals_xyxy[roi], spec.weights), width, height)
    found = Detections(boxes, scores[roi, label], label.astype(np.int32)).take(area(boxes) > 0)
    return found.take(nms(found.boxes_xyxy, found.scores, found.labels, spec.nms_iou, spec.keep))


def _check(count: int, box_deltas: Floats, cls_logits: Floats) -> None:
    classes = cls_logits.shape[-1] - 1
    expected = (count, 4 * classes), (count, classes + 1)
    if (box_deltas.shape, cls_logits.shape) != expected:
        raise ValueError(
            f"with {count} proposals and {classes} classes, deltas and logits should have the "
            f"shapes {expected[0]} and {expected[1]}, found {box_deltas.shape} and "
            f"{cls_logits.shape}; is it the head of another model?"
        )
    if not (np.isfinite(cls_logits).all() and np.isfinite(box_deltas).all()):
        raise ValueError("the head's deltas or logits are not finite")
