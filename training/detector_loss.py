"""Which cells answer for which object (SimOTA, YOLOX section 2.1), and what wrong answers cost."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.detector import decode_xyxy
from training.frames import Targets

_CENTRE_CELLS = 1.5
"""A cell answers for an object only if its middle is within so many strides of the object's."""
_MOST_CELLS = 10
_BOX_WEIGHT, _OBJECT_WEIGHT, _CLASS_WEIGHT = 5.0, 1.0, 1.0


def detector_loss(raw: Tensor, cells: Tensor, strides: Tensor, wanted: Targets) -> Tensor:
    """Returns the scalar loss of raw predictions (N, A, 5 + classes)."""
    boxes = decode_xyxy(raw, cells, strides)
    middles = (cells + 0.5) * strides[:, None]
    with torch.no_grad():
        image, cell, row = _match(raw, boxes, middles, strides, wanted)
        weight = 1.0 - _ignored(boxes, middles, wanted)
    objects = raw.new_zeros(raw.shape[:2])
    box_loss = class_loss = raw.sum() * 0.0
    if len(image):
        found, truth = boxes[image, cell], wanted.boxes_xyxy[row]
        overlap, quality = generalised_iou(found, truth)
        box_loss = (1.0 - quality).sum()
        objects[image, cell] = overlap.detach().clamp(0.0, 1.0)
        weight[image, cell] = 1.0
        kinds = functional.one_hot(wanted.labels[row], raw.shape[-1] - 5).float()
        class_loss = functional.binary_cross_entropy_with_logits(
            raw[image, cell, 5:], kinds, reduction="sum"
        )
    object_loss = functional.binary_cross_entropy_with_logits(
        raw[..., 4], objects, weight, reduction="sum"
    )
    total = _BOX_WEIGHT * box_loss + _OBJECT_WEIGHT * object_loss + _CLASS_WEIGHT * class_loss
    return total / max(1, len(image))


def generalised_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Returns IoU and generalised IoU (Rezatofighi et al., 2019) of boxes that broadcast."""
    low = torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    high = torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    sizes = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (a_xyxy, b_xyxy)]
    union = sizes[0] + sizes[1] - shared + 1e-6
    hull_low = torch.minimum(a_xyxy[..., :2], b_xyxy[..., :2])
    hull_high = torch.maximum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    hull = (hull_high - hull_low).prod(-1) + 1e-6
    iou = shared / union
    return iou, iou - (hull - union) / hull


def _match(
    raw: Tensor, boxes: Tensor, middles: Tensor, strides: Tensor, wanted: Targets
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns matched pairs: picture, cell and row of `wanted`, each (P,) int64."""
    rows = wanted.scored.nonzero()[:, 0]
    image, truth = wanted.image[rows], wanted.boxes_xyxy[rows]
    if not len(rows):
        return image, image, rows
    centre = (truth[:, None, :2] + truth[:, None, 2:]) / 2
    near = ((middles - centre).abs() < _CENTRE_CELLS * strides[:, None]).all(-1)
    pair, cell = near.nonzero(as_tuple=True)
    overlap, _ = generalised_iou(boxes[image[pair], cell], truth[pair])
    logits = raw[image[pair], cell]
    likely = logits[:, 4].sigmoid() * logits[:, 5:].sigmoid().gather(
        1, wanted.labels[rows[pair], None]
    ).squeeze(1)
    cost = -3.0 * (overlap + 1e-8).log() - (likely.sqrt() + 1e-8).log()
    kept = _cheapest(pair.numpy(), cost.numpy(), overlap.numpy())
    pair, cell, cost = pair[kept], cell[kept], cost[kept]
    single = _one_object_a_cell((image[pair] * len(middles) + cell).numpy(), cost.numpy())
    return image[pair[single]], cell[single], rows[pair[single]]


def _cheapest(pair: np.ndarray, cost: np.ndarray, overlap: np.ndarray) -> Tensor:
    """Returns the pairs to keep: for each object as many cells as its best overlaps add up to."""
    order = np.lexsort((cost, pair))
    starts = np.flatnonzero(np.r_[True, np.diff(pair[order]) != 0])
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    by_overlap = np.lexsort((-overlap, pair))
    best = np.where(place < _MOST_CELLS, overlap[by_overlap], 0.0)
    wished = np.maximum(1, np.add.reduceat(best, starts).astype(int))
    allowed = np.repeat(wished, np.diff(np.r_[starts, len(order)]))
    return torch.from_numpy(order[place < allowed])


def _one_object_a_cell(key: np.ndarray, cost: np.ndarray) -> Tensor:
    """Returns, of the pairs that claim the same cell, the cheapest."""
    order = np.lexsort((cost, key))
    first = np.r_[True, np.diff(key[order]) != 0] if len(order) else np.zeros(0, bool)
    return torch.from_numpy(order[first])


def _ignored(boxes: Tensor, middles: Tensor, wanted: Targets) -> Tensor:
    """Returns (N, A): 1 at cells in the middle of an object that is not scored."""
    ignored = boxes.new_zeros(boxes.shape[:2])
    for row in (~wanted.scored).nonzero()[:, 0].tolist():
        x0, y0, x1, y1 = wanted.boxes_xyxy[row].tolist()
        inside = (middles[:, 0] > x0 - 4) & (middles[:, 0] < x1 + 4)
        inside &= (middles[:, 1] > y0 - 4) & (middles[:, 1] < y1 + 4)
        ignored[wanted.image[row], inside] = 1.0
    return ignored
