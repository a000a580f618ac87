"""Classifiers' outputs, against probabilities worked out one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.recognition.classes import each_of, one_of
from pipeline.recognition.looks import Looks

NAMES = ("red", "green", "blue")
LOGITS = arrays(
    np.float32,
    st.tuples(st.integers(0, 5), st.just(len(NAMES))),
    elements=st.floats(-90, 90, width=32),
)


@given(LOGITS)
def test_one_of_several_is_a_softmax(logits: np.ndarray) -> None:
    looks = one_of(logits, NAMES)
    assert looks.values.tolist() == list(NAMES)
    assert looks.looked.tolist() == [True] * len(logits)
    assert looks.weights.dtype == np.float32
    for row, weights in zip(logits.tolist(), looks.weights.tolist(), strict=True):
        total = math.fsum(math.exp(value) for value in row)
        assert weights == pytest.approx([math.exp(value) / total for value in row], abs=1e-5)


@given(LOGITS)
def test_each_of_several_is_a_sigmoid_of_its_own(logits: np.ndarray) -> None:
    found = each_of(logits, NAMES)
    assert list(found) == list(NAMES)
    for column, looks in enumerate(found.values()):
        assert looks.values.tolist() == ["no", "yes"]
        for value, weights in zip(logits[:, column].tolist(), looks.weights, strict=True):
            yes = 1 / (1 + math.exp(-value))
            assert weights.tolist() == pytest.approx([1 - yes, yes], abs=1e-5)


def test_probabilities_stay_as_they_are() -> None:
    given_ = np.array([[0.25, 0.7500001, 1.0000001]], np.float32)
    assert one_of(given_, NAMES, logits=False).weights.tolist() == [
        pytest.approx([0.25, 0.75, 1.0], abs=1e-6)
    ]
    assert each_of(given_, NAMES, logits=False)["red"].weights.tolist() == [[0.75, 0.25]]


def test_looks_at_some_objects_are_spread_over_all() -> None:
    looks = Looks(
        np.array(["a", "b"]),
        np.array([[1, 0], [0.5, 0.5]], np.float32),
        np.array([True, True]),
    )
    spread = looks.spread(np.array([3, 1]), 4)
    assert spread.weights.tolist() == [[0, 0], [0.5, 0.5], [0, 0], [1, 0]]
    assert spread.looked.tolist() == [False, True, False, True]
    back = spread.take(np.array([3, 1]))
    assert np.array_equal(back.weights, looks.weights)
