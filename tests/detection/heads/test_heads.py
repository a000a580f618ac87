"""Every head family against a reference written as a plain loop, one cell at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.heads import (
    BoxesHead,
    DetrHead,
    FastestdetHead,
    Head,
    NanodetHead,
    SsdHead,
    Yolov5Head,
    Yolov8Head,
    YoloxHead,
)

WIDTH, HEIGHT, CLASSES = 64, 32, 3
STRIDES = (8, 16, 32)
GRID = [
    (s, x, y) for s in STRIDES for y in range(HEIGHT // s) for x in range(WIDTH // s)
]  # stride, column, row, in the order of the rows
CELLS = len(GRID)

Outputs = dict[str, np.ndarray]
Found = list[tuple[float, float, float, float, float, int]]  # xyxy, score, label


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(values: np.ndarray) -> list[float]:
    e = [math.exp(v) for v in values]
    return [v / sum(e) for v in e]


def centred(cx: float, cy: float, w: float, h: float) -> tuple[float, float, float, float]:
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def best(scores: np.ndarray | list[float]) -> tuple[float, int]:
    label = max(range(len(scores)), key=lambda i: (scores[i], -i))
    return float(scores[label]), label


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(0, 1, shape).astype(np.float32)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(0, 1, shape).astype(np.float32)


def yolox(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    rows = np.concatenate([normal(rng, CELLS, 4), unit(rng, CELLS, 1 + CLASSES)], axis=1)
    found = []
    for (s, gx, gy), row in zip(GRID, rows, strict=True):
        score, label = best(row[5:] * row[4])
        w, h = math.exp(row[2]) * s, math.exp(row[3]) * s
        found.append((*centred((row[0] + gx) * s, (row[1] + gy) * s, w, h), score, label))
    return YoloxHead(family="yolox", strides=STRIDES), {"output": rows[None]}, found


def yolov5(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    rows = np.concatenate([unit(rng, 40, 4) * 32, unit(rng, 40, 1 + CLASSES)], axis=1)
    found = []
    for row in rows:
        score, label = best(row[5:] * row[4])
        found.append((*centred(*row[:4]), score, label))
    return Yolov5Head(family="yolov5"), {"output0": rows[None]}, found


def yolov8(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    columns = np.concatenate([unit(rng, 4, 40) * 32, unit(rng, CLASSES, 40)])
    found = [(*centred(*column[:4]), *best(column[4:])) for column in columns.T]
    return Yolov8Head(family="yolov8"), {"output0": columns[None]}, found


def nanodet(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    outputs: Outputs = {}
    found = []
    for s in STRIDES:
        cells = [(gx, gy) for stride, gx, gy in GRID if stride == s]
        outputs[f"cls{s}"] = unit(rng, 1, len(cells), CLASSES)
        outputs[f"dis{s}"] = normal(rng, 1, len(cells), 32)
        for i, (gx, gy) in enumerate(cells):
            sides = [
                sum(n * p for n, p in enumerate(softmax(outputs[f"dis{s}"][0, i, k : k + 8]))) * s
                for k in (0, 8, 16, 24)
            ]
            x, y = (gx + 0.5) * s, (gy + 0.5) * s
            box = x - sides[0], y - sides[1], x + sides[2], y + sides[3]
            found.append((*box, *best(outputs[f"cls{s}"][0, i])))
    head = NanodetHead(
        family="nanodet",
        strides=STRIDES,
        classes=tuple(f"cls{s}" for s in STRIDES),
        distances=tuple(f"dis{s}" for s in STRIDES),
    )
    return head, outputs, found


def nanodet_plus(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    rows = np.concatenate([unit(rng, CELLS, CLASSES), normal(rng, CELLS, 32)], axis=1)
    found = []
    for (s, gx, gy), row in zip(GRID, rows, strict=True):
        bins = [softmax(row[CLASSES + k : CLASSES + k + 8]) for k in (0, 8, 16, 24)]
        left, top, right, bottom = (sum(n * p for n, p in enumerate(side)) * s for side in bins)
        box = gx * s - left, gy * s - top, gx * s + right, gy * s + bottom
        found.append((*box, *best(row[:CLASSES])))
    head = NanodetHead(family="nanodet", strides=STRIDES, offset=0.0)
    return head, {"output": rows[None]}, found


def fastestdet(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    rows, columns = 4, 6
    maps = np.concatenate(
        [unit(rng, 1, rows, columns), normal(rng, 4, rows, columns), unit(rng, 3, rows, columns)]
    )
    found = []
    for gy in range(rows):
        for gx in range(columns):
            objectness, tx, ty, tw, th, *classes = maps[:, gy, gx].tolist()
            probability, label = best(classes)
            box = centred(
                (gx + math.tanh(tx)) / columns * WIDTH,
                (gy + math.tanh(ty)) / rows * HEIGHT,
                sigmoid(tw) * WIDTH,
                sigmoid(th) * HEIGHT,
            )
            found.append((*box, objectness**0.6 * probability**0.4, label))
    return FastestdetHead(family="fastestdet"), {"758": maps[None]}, found


def ssd(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    count, rows = 12, 20
    outputs = {
        "detection_boxes": unit(rng, 1, rows, 4),
        "detection_classes": rng.integers(1, CLASSES + 1, (1, rows)).astype(np.float32),
        "detection_scores": unit(rng, 1, rows),
        "num_detections": np.array([count], np.float32),
    }
    found = []
    for i in range(count):
        y1, x1, y2, x2 = outputs["detection_boxes"][0, i].tolist()
        label = int(outputs["detection_classes"][0, i]) - 1
        score = float(outputs["detection_scores"][0, i])
        found.append((x1 * WIDTH, y1 * HEIGHT, x2 * WIDTH, y2 * HEIGHT, score, label))
    return SsdHead(family="ssd"), outputs, found


def rtdetr(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    logits, boxes = normal(rng, 1, 30, CLASSES) * 3, unit(rng, 1, 30, 4)
    found = []
    for logit, (cx, cy, w, h) in zip(logits[0], boxes[0].tolist(), strict=True):
        score, label = best([sigmoid(v) for v in logit])
        found.append((*centred(cx * WIDTH, cy * HEIGHT, w * WIDTH, h * HEIGHT), score, label))
    head = DetrHead(family="detr", logits="logits", boxes="boxes")
    return head, {"logits": logits, "boxes": boxes}, found


def detr(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    logits, boxes = normal(rng, 1, 30, CLASSES + 1) * 3, unit(rng, 1, 30, 4)
    found = []
    for logit, (cx, cy, w, h) in zip(logits[0], boxes[0].tolist(), strict=True):
        score, label = best(softmax(logit)[:-1])
        found.append((*centred(cx * WIDTH, cy * HEIGHT, w * WIDTH, h * HEIGHT), score, label))
    head = DetrHead(family="detr", activation="softmax")
    return head, {"pred_logits": logits, "pred_boxes": boxes}, found


def margins(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    corner, size = unit(rng, 25, 2) * 30, unit(rng, 25, 2) * 20
    boxes = np.concatenate([corner, corner + size], axis=1)
    scores = normal(rng, 25)
    found = []
    for (x1, y1, x2, y2), score in zip(boxes.tolist(), scores.tolist(), strict=True):
        dx, dy = (x2 - x1) / 4, (y2 - y1) / 8
        found.append((x1 + dx, y1 + dy, x2 - dx, y2 - dy, sigmoid(score), 0))
    head = BoxesHead(family="boxes", activation="sigmoid", margin=(0.25, 0.125))
    return head, {"boxes": boxes[None], "scores": scores[None]}, found


def labelled(rng: np.random.Generator) -> tuple[Head, Outputs, Found]:
    boxes, scores = unit(rng, 25, 4) * 30, unit(rng, 25)
    labels = rng.integers(1, CLASSES + 1, 25)
    found = [
        (*box, score, label - 1)
        for box, score, label in zip(boxes.tolist(), scores.tolist(), labels, strict=True)
    ]
    head = BoxesHead(family="boxes", labels="labels", first_label=1)
    return head, {"boxes": boxes[None], "scores": scores[None], "labels": labels[None]}, found


FAMILIES: list[Callable[[np.random.Generator], tuple[Head, Outputs, Found]]] = [
    yolox,
    yolov5,
    yolov8,
    nanodet,
    nanodet_plus,
    fastestdet,
    ssd,
    rtdetr,
    detr,
    margins,
    labelled,
]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2, 0.5, 0.8]))
def test_equals_the_loop(
    family: Callable[[np.random.Generator], tuple[Head, Outputs, Found]],
    seed: int,
    min_score: float,
) -> None:
    head, outputs, found = family(np.random.default_rng(seed))
    # A score on the threshold may fall on either side of it in float32.
    sure = [row for row in found if row[4] >= min_score + 1e-5]
    maybe = [row for row in found if abs(row[4] - min_score) < 1e-5]
    got = head.decode(outputs, WIDTH, HEIGHT, min_score)
    assert len(sure) <= len(got) <= len(sure) + len(maybe)
    rows = np.concatenate(
        [got.boxes_xyxy, got.scores[:, None], got.labels[:, None].astype(np.float64)], axis=1
    )
    for expected in sure:
        assert np.isclose(rows, expected, rtol=1e-4, atol=1e-3).all(axis=1).any(), expected


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_types_and_an_empty_result(
    family: Callable[[np.random.Generator], tuple[Head, Outputs, Found]],
) -> None:
    head, outputs, _ = family(np.random.default_rng(0))
    for array in outputs.values():
        array.flags.writeable = False
    for min_score, some in ((0.1, True), (2.0, False)):
        found = head.decode(outputs, WIDTH, HEIGHT, min_score)
        assert (len(found) > 0) is some
        assert found.boxes_xyxy.shape == (len(found), 4)
        assert found.boxes_xyxy.dtype == np.float32
        assert found.scores.dtype == np.float32
        assert found.labels.dtype == np.int32


def shapes(outputs: Outputs) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in outputs.items()}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_check_takes_what_fits(
    family: Callable[[np.random.Generator], tuple[Head, Outputs, Found]],
) -> None:
    head, outputs, _ = family(np.random.default_rng(0))
    classes = 1 if family is margins else CLASSES
    head.check(shapes(outputs), classes, WIDTH, HEIGHT)
    head.check(shapes(outputs), classes, -1, -1)


@pytest.mark.parametrize(
    ("family", "change", "told"),
    [
        (yolox, {"classes": 80}, "must be 85: box, objectness and 80 labels"),
        (yolox, {"width": 128}, "cells of a 128x32 input"),
        (yolox, {"shapes": {"a": (1, CELLS, 8), "b": (1,)}}, "takes one output"),
        (yolox, {"shapes": {"a": (1, CELLS)}}, "has no axis 2"),
        (yolov5, {"classes": 4}, "must be 9"),
        (yolov8, {"classes": 4}, "must be 8: box and 4 labels"),
        (nanodet, {"classes": 4}, "must be 4: 4 labels"),
        (nanodet, {"shapes": {"cls8": (1, 32, 3)}}, "head names output 'cls16'"),
        (nanodet_plus, {"width": 128}, "cells of a 128x32 input"),
        (fastestdet, {"classes": 4}, "must be 9: objectness, box and 4 labels"),
        (ssd, {"shapes": {"detection_boxes": (1, 5, 4)}}, "names output 'detection_classes'"),
        (rtdetr, {"classes": 4}, "must be 4: 4 labels"),
        (detr, {"classes": 4}, "must be 5: 4 labels"),
        (margins, {"classes": 2}, "so 1 label fits, not 2"),
        (labelled, {"shapes": {"boxes": (1, 9, 4), "scores": (1, 9)}}, "names output 'labels'"),
    ],
)
def test_check_says_what_does_not_fit(
    family: Callable[[np.random.Generator], tuple[Head, Outputs, Found]],
    change: dict[str, object],
    told: str,
) -> None:
    head, outputs, _ = family(np.random.default_rng(0))
    arguments = {"shapes": shapes(outputs), "classes": CLASSES, "width": WIDTH, "height": HEIGHT}
    with pytest.raises(ValueError, match=told):
        head.check(**(arguments | change))


def test_a_wild_but_finite_size_stays_finite() -> None:
    row = np.array([0, 0, 1e4, 88, 1, 1], np.float32)
    outputs = {"output": np.tile(row, (1, CELLS, 1))}
    found = YoloxHead(family="yolox").decode(outputs, WIDTH, HEIGHT, 0.5)
    assert np.isfinite(found.boxes_xyxy).all()
