"""What the manifests of a two-stage detector's two networks say of what lies between and behind.

The first network, of task ``rpn``, is a backbone with a region proposal network; the second, of
task ``roi_head``, looks at the features under each proposal. Each is a package of its own, so that
each may be converted, compiled and bound by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from pipeline.detection.anchors import Anchors
from pipeline.detection.proposals import ProposalSpec
from pipeline.detection.pyramid import Pooling
from pipeline.detection.roi_head import RoiHeadSpec
from pipeline.models.strict import Strict

Shapes = Mapping[str, tuple[int, ...]]
Positive = Annotated[float, Field(gt=0)]
Weights = tuple[Positive, Positive, Positive, Positive]


class LevelEntry(Strict):
    """One feature map of the first network, and the anchors on it.

    Attributes:
        objectness: output (1, A, rows, columns) of the anchors' logits.
        deltas: output (1, 4 A, rows, columns) of dx, dy, dw, dh of each anchor.
        features: output (1, C, rows, columns) that is pooled from; None where this level only
            proposes.
        stride: pixels between two cells.
        sizes: square roots of the anchors' areas, pixels; the outer loop of a cell's anchors.
        ratios: height over width; the inner loop.
        offset: of an anchor's centre from its cell's top left corner, in cells.
    """

    objectness: str
    deltas: str
    features: str | None = None
    stride: Annotated[int, Field(gt=0)]
    sizes: Annotated[tuple[Positive, ...], Field(min_length=1)]
    ratios: Annotated[tuple[Positive, ...], Field(min_length=1)]
    offset: float = 0.0

    @property
    def anchors(self) -> Anchors:
        """The boxes this level's deltas count from."""
        return Anchors(self.sizes, self.ratios, self.stride, self.offset)


class RpnEntry(Strict):
    """How the first network's outputs become proposals; see `ProposalSpec`.

    Attributes:
        levels: finest first.
        weights: of the deltas.
        candidates: of each level, before suppression.
        nms_iou: proposals of a level that overlap by more are one, 0..1.
        keep: how many there are at most.
    """

    levels: Annotated[tuple[LevelEntry, ...], Field(min_length=1)]
    weights: Weights = (1.0, 1.0, 1.0, 1.0)
    candidates: Annotated[int, Field(gt=0)] = 1000
    nms_iou: Annotated[float, Field(ge=0, le=1)] = 0.7
    keep: Annotated[int, Field(gt=0)] = 100

    @property
    def spec(self) -> ProposalSpec:
        """The same for `propose`."""
        levels = tuple(level.anchors for level in self.levels)
        return ProposalSpec(levels, self.weights, self.candidates, self.nms_iou, self.keep)

    @property
    def pooled_names(self) -> tuple[str, ...]:
        """The outputs that are pooled from, finest first."""
        return tuple(level.features for level in self.levels if level.features is not None)

    def check(self, shapes: Shapes) -> None:
        """Raises `ValueError` if outputs of these shapes, by name, do not fit the anchors."""
        if not self.pooled_names:
            raise ValueError("rpn: no level has features, so nothing could be pooled; name some")
        for number, level in enumerate(self.levels):
            count = level.anchors.per_cell
            for key, channels in (("objectness", count), ("deltas", 4 * count), ("features", None)):
                name = getattr(level, key)
                if name is not None:
                    _expect(shapes, f"rpn.levels[{number}].{key}", name, 4, 1, channels)


class PoolingEntry(Strict):
    """How the second network's input is pooled; how many bins follows from that input's shape.

    Attributes:
        method: ``align``, bilinear and aligned; or ``pool``, the maximum in whole cells.
        sampling: of ``align``, samples a bin along each axis; 0: one a cell, rounded up.
        canonical_size: side of the least square, pixels, that is pooled from the level of
            `canonical_level`; of no matter where there is one level.
        canonical_level: k of the level whose stride is 2^k.
    """

    method: Literal["align", "pool"] = "align"
    sampling: Annotated[int, Field(ge=0)] = 0
    canonical_size: Positive = 224.0
    canonical_level: Annotated[int, Field(ge=0)] = 4


class RoiHeadEntry(Strict):
    """How the second network's outputs are read; see `RoiHeadSpec`.

    Attributes:
        pooling: what it is given.
        box_deltas: output (N, 4 K) of dx, dy, dw, dh of each class.
        cls_logits: output (N, K + 1), with the background.
        weights: of the deltas.
        background: where its logit stands among those of the classes.
    """

    pooling: PoolingEntry = PoolingEntry()
    box_deltas: str = "box_deltas"
    cls_logits: str = "cls_logits"
    weights: Weights = (10.0, 10.0, 5.0, 5.0)
    background: Literal["first", "last"] = "last"

    def pooling_of(self, rpn: RpnEntry, rows: int, columns: int) -> Pooling:
        """How the levels of `rpn` are pooled to this many bins."""
        strides = tuple(level.stride for level in rpn.levels if level.features is not None)
        how = self.pooling
        return Pooling(
            rows,
            columns,
            strides,
            how.method,
            how.sampling,
            how.canonical_size,
            how.canonical_level,
        )

    def spec(
        self, score: float, nms_iou: float, keep: int, wanted: tuple[int, ...] | None
    ) -> RoiHeadSpec:
        """The same for `objects`, with the user's limits."""
        return RoiHeadSpec(self.weights, self.background, score, nms_iou, keep, wanted)

    def check(self, inputs: Shapes, outputs: Shapes, classes: int) -> None:
        """Raises `ValueError` if tensors of these shapes, by name, do not fit `classes` labels."""
        if len(inputs) != 1 or any(
            len(shape) != 4 or min(shape[1:]) < 1 for shape in inputs.values()
        ):
            raise ValueError(
                f"roi_head takes one input (N, channels, rows, columns), found {dict(inputs)}"
            )
        _expect(outputs, "roi_head.cls_logits", self.cls_logits, 2, 1, classes + 1)
        _expect(outputs, "roi_head.box_deltas", self.box_deltas, 2, 1, 4 * classes)


def _expect(shapes: Shapes, key: str, name: str, dims: int, axis: int, length: int | None) -> None:
    """Raises `ValueError` if there is no such output, or it has another form."""
    if name not in shapes:
        raise ValueError(f"{key} names output {name!r}, the model has {list(shapes)}")
    shape = list(shapes[name])
    if len(shape) != dims:
        raise ValueError(f"{key}: output {name!r} should have {dims} dimensions, found {shape}")
    if length is not None and shape[axis] not in (-1, length):
        what = {
            "objectness": "one for each anchor of a cell (sizes times ratios)",
            "deltas": "four for each anchor of a cell (sizes times ratios)",
            "cls_logits": "one for each label and one for the background",
            "box_deltas": "four for each label",
        }[key.rpartition(".")[2]]
        raise ValueError(
            f"{key}: axis {axis} of output {name!r} should be {length}, {what}; found {shape}"
        )
