"""A two-stage detector put together from its parts, with any two networks.

Ren et al., "Faster R-CNN", arXiv:1506.01497: the first network finds features and, with them, where
something might be; what lies there is pooled and shown to the second, which says what it is. The
networks come as functions, so that each may run wherever it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.detections import Detections
from pipeline.detection.proposals import ProposalSpec, propose
from pipeline.detection.pyramid import Pooling, pooled
from pipeline.detection.roi_head import RoiHeadSpec, objects

Floats = NDArray[np.float32]

#: From an image (1, 3, H, W) to the features (1, C, h, w), objectness (1, A, h, w) and anchor
#: deltas (1, 4 A, h, w) of each level; of features there may be fewer, where the last only propose.
FirstStage = Callable[[Floats], tuple[Sequence[Floats], Sequence[Floats], Sequence[Floats]]]
#: From the features of N RoIs (N, C, rows, columns) to box deltas (N, 4 K) and class logits
#: (N, K + 1).
SecondStage = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True)
class TwoStageSpec:
    """What lies before, between and behind the two networks.

    Attributes:
        proposals: how they are chosen.
        pooling: of their features.
        head: how the second network's outputs are read.
    """

    proposals: ProposalSpec
    pooling: Pooling
    head: RoiHeadSpec


@dataclass(frozen=True, slots=True)
class TwoStage:
    """A detector.

    Attributes:
        spec: what lies before, between and behind the networks.
        first: the first network.
        second: the second network, for any number of RoIs; see `in_batches`.
    """

    spec: TwoStageSpec
    first: FirstStage
    second: SecondStage

    def __call__(self, image: Floats) -> Detections:
        """The objects in one image (1, 3, H, W): in its pixels, clipped to it, by falling score."""
        height, width = image.shape[2:]
        features, objectness, deltas = self.first(image)
        found = propose(self.spec.proposals, objectness, deltas, width, height)
        places = found.boxes_xyxy
        if not len(places):
            return Detections.empty()
        box_deltas, cls_logits = self.second(pooled(self.spec.pooling, features, places))
        return objects(self.spec.head, places, box_deltas, cls_logits, width, height)


def in_batches(stage: SecondStage, batch: int) -> SecondStage:
    """A second stage for any number of RoIs, of one that takes exactly `batch` at a time.

    A chip's network has one shape. The last batch is filled up with zeros, and what the network
    makes of those is cut off.
    """

    def run(rois: Floats) -> tuple[Floats, Floats]:
        count = max(1, ceil(len(rois) / batch))
        filled = np.zeros((count, batch, *rois.shape[1:]), rois.dtype)
        filled.reshape(-1, *rois.shape[1:])[: len(rois)] = rois
        deltas, logits = zip(*map(stage, filled), strict=True)
        return np.concatenate(deltas)[: len(rois)], np.concatenate(logits)[: len(rois)]

    return run
