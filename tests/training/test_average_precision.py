"""Average precision and suppression on cases small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.average_precision import Scored, average_precision
from training.boxes import decode, suppress

BOX = (0.0, 0.0, 10.0, 10.0)
ASIDE = (20.0, 0.0, 30.0, 10.0)
FAR = (50.0, 50.0, 60.0, 60.0)


def frame(
    found: list[tuple[tuple[float, ...], float]], truth: list[tuple[float, ...]], counts: list[bool]
) -> Scored:
    return Scored(
        np.array([box for box, _ in found], np.float32).reshape(-1, 4),
        np.array([score for _, score in found], np.float32),
        np.zeros(len(found), np.int64),
        np.array(truth, np.float32).reshape(-1, 4),
        np.zeros(len(truth), np.int32),
        np.array(counts, bool),
    )


CASES = [
    ("everything found", [(BOX, 0.9), (ASIDE, 0.8)], [BOX, ASIDE], [True, True], 1.0),
    ("one of two found", [(BOX, 0.9)], [BOX, ASIDE], [True, True], 0.5),
    ("a false alarm scores higher", [(FAR, 0.9), (BOX, 0.8)], [BOX], [True], 0.5),
    ("a false alarm scores lower", [(BOX, 0.9), (FAR, 0.8)], [BOX], [True], 1.0),
    ("found twice, the second is wrong but late", [(BOX, 0.9), (BOX, 0.8)], [BOX], [True], 1.0),
    ("upon an ignored object", [(FAR, 0.9), (BOX, 0.8)], [BOX, FAR], [True, False], 1.0),
    ("nothing found", [], [BOX], [True], 0.0),
]


@pytest.mark.parametrize(
    ("case", "found", "truth", "counts", "wanted"), CASES, ids=[c[0] for c in CASES]
)
def test_average_precision(case, found, truth, counts, wanted) -> None:  # type: ignore[no-untyped-def]
    assert average_precision([frame(found, truth, counts)], 0) == pytest.approx(wanted)


def test_a_label_that_never_appears_has_no_average_precision() -> None:
    assert average_precision([frame([(BOX, 0.9)], [], [])], 0) is None


def test_suppression_keeps_the_best_of_each_label() -> None:
    boxes = np.array([BOX, (1.0, 0.0, 11.0, 10.0), ASIDE, BOX], np.float32)
    labels = np.array([0, 0, 0, 1])
    kept = suppress(boxes, np.array([0.5, 0.9, 0.4, 0.3], np.float32), labels, iou=0.5)
    assert kept.tolist() == [1, 2, 3]


def test_decode_places_cells_row_by_row_and_scales_in_turn() -> None:
    raw = np.zeros((8 * 8 + 4 * 4 + 2 * 2, 7), np.float32)
    for row in (8 + 3, 64 + 4 + 3, 64 + 16 + 2 + 1):
        raw[row] = (0.5, 0.5, np.log(2.0), 0.0, 0.8, 0.1, 0.5)
    boxes, scores, labels = decode(raw, 64, 64, score=0.2)
    assert scores == pytest.approx([0.4] * 3)
    assert labels.tolist() == [1, 1, 1]
    # Columns 3, 3, 1 and rows 1, 1, 1; two cells wide and one high; clipped to the picture.
    assert boxes[0].tolist() == pytest.approx([20, 8, 36, 16], abs=1e-4)
    assert boxes[1].tolist() == pytest.approx([40, 16, 64, 32], abs=1e-4)
    assert boxes[2].tolist() == pytest.approx([16, 32, 64, 64], abs=1e-4)
