"""Which anchors and proposals answer for which object, and what wrong answers cost.

Ren et al., "Faster R-CNN", arXiv:1506.01497, section 3.1.2; Girshick, "Fast R-CNN",
arXiv:1504.08083, section 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.detection.boxes import iou_matrix
from pipeline.detection.deltas import encode
from pipeline.detection.proposals import propose
from training.frames import Targets
from training.two_stage import ANCHORS, DELTA_WEIGHTS, PROPOSALS, TwoStage, pooled

Floats = NDArray[np.float32]

_ANCHORS_PER_PICTURE, _ROIS_PER_PICTURE = 256, 64
_ANCHOR_IOU, _ROI_IOU = (0.6, 0.3), (0.5, 0.5)
"""From which overlap a box is right, and below which it is wrong."""
_IGNORED_IOU = 0.15
"""From this overlap on with an object that is not scored, a box is not wrong."""
_ROIS_RIGHT = 0.4
"""The largest share of proposals in the loss that show an object."""


@dataclass
class Objects:
    """The objects of one picture."""

    boxes_xyxy: Floats
    labels: NDArray[np.int64]
    ignored_xyxy: Floats

    @classmethod
    def of(cls, wanted: Targets, image: int) -> Objects:
        """Those of one picture of a batch."""
        here = wanted.image == image
        scored, other = here & wanted.scored, here & ~wanted.scored
        boxes = wanted.boxes_xyxy.numpy()
        return cls(boxes[scored.numpy()], wanted.labels[scored].numpy(), boxes[other.numpy()])


@dataclass
class Sample:
    """Rows of some boxes that take part in the loss."""

    rows: NDArray[np.intp]
    """(S,): those that show an object, then those that do not."""
    owners: NDArray[np.intp]
    """(P,): the object that each of the first P shows."""


def losses(network: TwoStage, images: Tensor, wanted: Targets, rng: np.random.Generator) -> Tensor:
    """Returns the scalar loss of both networks on pictures (N, 3, H, W)."""
    features, objectness, deltas = network.first(images)
    total, rois, samples = images.new_zeros(()), [], []
    for number in range(len(images)):
        here = slice(number, number + 1)
        objects = Objects.of(wanted, number)
        total = total + proposal_loss(objectness[here], deltas[here], objects, rng)
        places = proposals(objectness[here], deltas[here], images.shape[2:], objects)
        sample = sampled(places, objects, _ROI_IOU, _ROIS_PER_PICTURE, _ROIS_RIGHT, rng)
        rois.append(pooled(features[number], places[sample.rows]))
        samples.append((places[sample.rows], objects, sample.owners))
    found = network.second(torch.cat(rois))
    sizes = [len(part) for part in rois]
    parts = zip(*(output.split(sizes) for output in found), samples, strict=True)
    total = total + sum(roi_loss(moves, logits, *sample) for moves, logits, sample in parts)
    return total / len(images)


def proposals(objectness: Tensor, deltas: Tensor, size: torch.Size, objects: Objects) -> Floats:
    """What the second network would be shown of one picture, and the objects themselves: (R, 4)."""
    height, width = size
    outputs = ([part.detach().numpy()] for part in (objectness, deltas))
    found = propose(PROPOSALS, *outputs, width, height)
    return np.concatenate([objects.boxes_xyxy, found.boxes_xyxy])


def proposal_loss(
    objectness: Tensor, deltas: Tensor, objects: Objects, rng: np.random.Generator
) -> Tensor:
    """Returns the scalar loss of the first network's outputs (1, A, h, w) and (1, 4 A, h, w)."""
    rows, columns = objectness.shape[2:]
    anchors = ANCHORS.grid(rows, columns)
    sample = sampled(anchors, objects, _ANCHOR_IOU, _ANCHORS_PER_PICTURE, 0.5, rng, rescue=True)
    logits = objectness[0].permute(1, 2, 0).reshape(-1)[sample.rows]
    moves = deltas.reshape(-1, 4, rows, columns).permute(2, 3, 0, 1).reshape(-1, 4)
    right = sample.rows[: len(sample.owners)]
    wanted = encode(objects.boxes_xyxy[sample.owners], anchors[right])
    box_loss = functional.smooth_l1_loss(
        moves[right], torch.from_numpy(wanted), beta=1 / 9, reduction="sum"
    )
    kind = torch.zeros_like(logits)
    kind[: len(right)] = 1.0
    object_loss = functional.binary_cross_entropy_with_logits(logits, kind)
    return object_loss + box_loss / max(1, len(right))


def roi_loss(
    moves: Tensor, logits: Tensor, places: Floats, objects: Objects, owners: NDArray[np.intp]
) -> Tensor:
    """Returns the scalar loss of the second network's outputs (S, 4 K) and (S, K + 1).

    Args:
        moves: deltas of each class.
        logits: with the background last.
        places: (S, 4) the proposals; the first P show an object.
        objects: of their picture.
        owners: (P,) which.
    """
    background = logits.shape[1] - 1
    right = len(owners)
    labels = torch.from_numpy(objects.labels[owners])
    kinds = torch.full((len(logits),), background)
    kinds[:right] = labels
    wanted = encode(objects.boxes_xyxy[owners], places[:right], DELTA_WEIGHTS)
    own = moves.reshape(len(moves), background, 4)[torch.arange(right), labels]
    box_loss = functional.smooth_l1_loss(own, torch.from_numpy(wanted), reduction="sum")
    return functional.cross_entropy(logits, kinds) + box_loss / max(1, len(logits))


def sampled(
    boxes_xyxy: Floats,
    objects: Objects,
    iou: tuple[float, float],
    count: int,
    most_right: float,
    rng: np.random.Generator,
    rescue: bool = False,
) -> Sample:
    """Draws `count` boxes of those that are right and those that are wrong.

    Args:
        boxes_xyxy: (N, 4) anchors or proposals.
        objects: of their picture.
        iou: from which overlap a box is right, and below which it is wrong.
        count: how many there should be.
        most_right: the largest share of them that are right, 0..1.
        rng: draws them.
        rescue: whether the best boxes of an object are right however little they overlap it.
    """
    # A last row of zeros answers for pictures without objects.
    overlap = np.pad(iou_matrix(objects.boxes_xyxy, boxes_xyxy), ((0, 1), (0, 0)))
    owner, best = overlap.argmax(axis=0), overlap.max(axis=0)
    hit = best >= iou[0]
    if rescue:
        number, row = np.nonzero((overlap == overlap.max(axis=1, keepdims=True)) & (overlap > 0))
        hit[row], owner[row] = True, number
    ignored = iou_matrix(objects.ignored_xyxy, boxes_xyxy).max(axis=0, initial=0.0)
    miss = ~hit & (best < iou[1]) & (ignored < _IGNORED_IOU)
    right = rng.permutation(np.flatnonzero(hit))[: int(count * most_right)]
    wrong = rng.permutation(np.flatnonzero(miss))[: count - len(right)]
    return Sample(np.concatenate([right, wrong]), owner[right])
