"""Texts read by best path decoding, against every path of small tables."""

from __future__ import annotations

import math
from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.recognition.ctc import Blank, best_paths, read

ALPHABET = "ab"


def collapsed(path: tuple[int, ...], blank: Blank) -> str:
    """A path's text by the definition: repetitions are dropped, then blanks."""
    signs = ["", *ALPHABET] if blank == "first" else [*ALPHABET, ""]
    return "".join(signs[sign] for sign, _ in groupby(path))


def likeliest(table: np.ndarray, blank: Blank) -> tuple[str, float]:
    """Of all paths through a table (T, signs + 1)."""
    paths = product(range(table.shape[1]), repeat=len(table))
    best = max(paths, key=lambda path: math.prod(table[range(len(path)), path].tolist()))
    return collapsed(best, blank), math.prod(table[range(len(best)), best].tolist())


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(0, 3), st.integers(1, 5), st.just(3)),
        # In steps that no product of five rounds away.
        elements=st.integers(1, 15).map(lambda part: part / 16),
    ),
    st.sampled_from(["first", "last"]),
)
def test_it_is_the_likeliest_of_all_paths(tables: np.ndarray, blank: Blank) -> None:
    # Where two signs are as likely, either path is the best; break the tie as numpy does.
    tables = tables + np.arange(3, 0, -1, dtype=np.float32) / 2**10
    texts, sure = best_paths(tables, ALPHABET, blank)
    slow = [likeliest(table, blank) for table in tables]
    for text, probability, (expected, best) in zip(texts, sure.tolist(), slow, strict=True):
        assert probability == pytest.approx(best, rel=1e-5)
        assert text == expected


def one_hot(path: list[int], signs: int) -> np.ndarray:
    return np.where(np.eye(signs + 1)[path], 9.0, 0.0).astype(np.float32)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ([1, 1, 0, 1, 2, 2], "aab"),  # a repetition counts once, but not across a blank
        ([0, 0, 0, 0, 0, 0], ""),
        ([2, 0, 2, 0, 0, 2], "bbb"),
        ([1, 2, 1, 2, 1, 2], "ababab"),
    ],
)
def test_known_paths(path: list[int], text: str) -> None:
    looks = read(one_hot(path, 2)[None], ALPHABET, "first")
    assert looks.values.tolist() == ([text] if text else [])
    assert looks.looked.tolist() == [True]
    if text:
        step = math.exp(9) / (math.exp(9) + 2)
        assert looks.weights.tolist() == [[pytest.approx(step**6, rel=1e-4)]]


def test_several_looks_share_their_values() -> None:
    paths = [[1, 0, 2], [0, 0, 0], [1, 1, 2], [2, 2, 2]]
    looks = read(np.stack([one_hot(path, 2) for path in paths]), ALPHABET, "first")
    assert looks.values.tolist() == ["ab", "b"]
    assert (looks.weights > 0).tolist() == [[1, 0], [0, 0], [1, 0], [0, 1]]
    assert looks.looked.all()


def test_no_looks_at_all() -> None:
    looks = read(np.zeros((0, 4, 3), np.float32), ALPHABET, "last")
    assert looks.weights.shape == (0, 0)
