"""The two operators of torchvision that detectors saved by it need, where torchvision is absent.

`nms`: greedy non-maximum suppression. `roi_align`: RoIAlign of He et al., "Mask R-CNN",
arXiv:1703.06870, section 3, with the half-pixel shift of later versions where `aligned` is set.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

NMS = "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
ROI_ALIGN = (
    "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height,"
    " int pooled_width, int sampling_ratio, bool aligned) -> Tensor"
)
#: Dispatched to on every device: the implementations are made of torch's own operators.
ANY_DEVICE = "CompositeExplicitAutograd"


@cache
def register() -> torch.library.Library | None:
    """Makes `torchvision::nms` and `torchvision::roi_align` known, by torchvision if it is there.

    Returns the registration, which holds as long as somebody keeps it: this function does.
    """
    try:
        import torchvision  # noqa: F401 - registers its operators as it is imported
    except ImportError:
        library = torch.library.Library("torchvision", "DEF")
        for schema, function in ((NMS, nms), (ROI_ALIGN, roi_align)):
            library.define(schema)
            library.impl(function.__name__, function, ANY_DEVICE)
        return library
    return None


def nms(boxes_xyxy: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that no better kept box overlaps by more than a threshold.

    Args:
        boxes_xyxy: [N, 4].
        scores: [N].
        iou_threshold: overlap, intersection over union, above which the worse box goes.

    Returns:
        int64 [K], best first.
    """
    order = scores.argsort(descending=True, stable=True)
    overlaps = _iou(boxes_xyxy[order]) > iou_threshold
    rows = overlaps.cpu()
    gone = torch.zeros(len(order), dtype=torch.bool)
    kept = []
    for place in range(len(order)):
        if not gone[place]:
            kept.append(place)
            gone |= rows[place]
    return order[torch.tensor(kept, dtype=torch.int64, device=order.device)]


def roi_align(
    features: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Means of bilinear samples in the cells of a grid laid over each region.

    Bilinear weights are a product of one along y and one along x, so each region is two small
    matrix products: (rows × H) · features · (W × columns).

    Args:
        features: [N, C, H, W].
        rois: [K, 5]: image 0..N-1, then x1, y1, x2, y2 in pixels.
        spatial_scale: feature cells a pixel.
        pooled_height: cells of the grid along y.
        pooled_width: cells of the grid along x.
        sampling_ratio: samples a cell along each axis; 0 or less: as many as the cell is long,
            rounded up.
        aligned: whether the centre of the first pixel is at 0.5 and not at 0.

    Returns:
        [K, C, pooled_height, pooled_width].
    """
    height, width = features.shape[2:]
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    x1, y1, x2, y2 = corners.unbind(1)
    shortest = 0.0 if aligned else 1.0
    rows = _weights(y1, (y2 - y1).clamp(min=shortest), pooled_height, height, sampling_ratio)
    columns = _weights(x1, (x2 - x1).clamp(min=shortest), pooled_width, width, sampling_ratio)
    pooled = features.new_zeros(len(rois), features.shape[1], pooled_height, pooled_width)
    image = rois[:, 0].long()
    for number in image.unique().tolist():
        of = image == number
        along_y = torch.einsum("kph,chw->kcpw", rows[of], features[number])
        pooled[of] = torch.einsum("kcpw,kqw->kcpq", along_y, columns[of])
    return pooled


def _weights(start: Tensor, length: Tensor, cells: int, size: int, sampling_ratio: int) -> Tensor:
    """Weight of each of `size` feature cells in each cell of the grid: [K, cells, size]."""
    cell = length / cells
    if sampling_ratio > 0:
        samples = torch.full_like(cell, sampling_ratio)
    else:
        samples = cell.ceil().clamp(min=1)
    most = int(samples.max()) if len(samples) else 1
    number = torch.arange(most, dtype=start.dtype, device=start.device)
    edges = start[:, None] + cell[:, None] * torch.arange(cells, device=start.device)
    step = (cell / samples)[:, None, None]
    at = edges[:, :, None] + (number + 0.5) * step
    # A sample more than a cell outside the features counts as nought, one nearer as on the border.
    counts = (at >= -1) & (at <= size) & (number < samples[:, None, None])
    at = at.clamp(0, size - 1)
    near = 1 - (at[..., None] - torch.arange(size, device=start.device)).abs()
    return (near.clamp(min=0) * counts[..., None]).sum(2) / samples[:, None, None]


def _iou(boxes_xyxy: Tensor) -> Tensor:
    """Intersection over union of each box with each: [N, N]; of two empty boxes, nan."""
    area = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(1)
    low = torch.maximum(boxes_xyxy[:, None, :2], boxes_xyxy[None, :, :2])
    high = torch.minimum(boxes_xyxy[:, None, 2:], boxes_xyxy[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    return shared / (area[:, None] + area[None, :] - shared)
