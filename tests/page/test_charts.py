"""Charts are read back as XML: what they draw is where the numbers say."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from pipeline.page import charts

NASTY = '</title><script>alert("1")</script>'


def drawn(chart: Markup) -> ElementTree.Element:
    root = ElementTree.fromstring(str(chart))
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root[0].tag == "title"
    return root


def steps(path: str) -> tuple[float, list[float]]:
    """Where a path starts, and its height over each unit of width."""
    start, heights = float(re.match(r"M(\S+) ", path)[1]), list[float]()
    for level, width in re.findall(r"V([\d.]+)h(\d+)", path):
        heights += [100 - float(level)] * int(width)
    return start, heights


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=64))
def test_a_pair_of_histograms_is_as_high_as_the_logarithms(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    root = drawn(charts.histogram_pair(first, second, "both"))
    assert [path.get("class") for path in root[1:]] == ["first fill", "second line"]
    most = np.log1p(max(1, *first, *second))
    for path, counts in zip(root[1:], (first, second), strict=True):
        start, heights = steps(path.get("d"))
        assert start == 3
        np.testing.assert_allclose(heights, np.log1p(counts) / most * 100, atol=0.06)


def test_what_is_beyond_a_histogram_is_drawn_apart() -> None:
    root = drawn(charts.histogram_pair([1, 2], [2, 1], "both", below=0, above=2))
    *_, beyond = root
    assert beyond.get("class") == "wrong fill"
    start, (height,) = steps(beyond.get("d"))
    assert start > 3 + 2
    assert height == 100


def test_a_bar() -> None:
    root = drawn(charts.bar(0.25, "a quarter"))
    assert root[1].get("width") == "0.25"
    assert root.get("viewBox").startswith("0 0 1 ")


@pytest.mark.parametrize("limit", [None, 0.5, 2.0])
def test_a_line_rises_with_its_values(limit: float | None) -> None:
    root = drawn(charts.line([0.1, 0.9, 0.4], "three", limit))
    levels = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", root[-2].get("d"))]
    assert levels[1] < levels[2] < levels[0]
    assert all(0 <= level <= 100 for level in levels)
    assert len(root) == (3 if limit is None else 4)


def test_a_line_of_one_value() -> None:
    drawn(charts.line([0.5], "one", 0.5))


def test_a_skyline_is_as_wide_as_its_blocks() -> None:
    blocks = [
        charts.Block(0, 2, 0.5, "second", "a"),
        charts.Block(2, 1, 1.0, "third", NASTY),
        charts.Block(3, 1, 0.0, "second", "c"),
    ]
    _, *rects = drawn(charts.skyline(blocks, "three"))
    assert [float(rect.get("x")) for rect in rects] == [0, 500, 750]
    assert [float(rect.get("width")) for rect in rects] == [500, 250, 250]
    assert [float(rect.get("height")) for rect in rects] == [50, 100, 0]
    assert rects[1][0].text == NASTY
    drawn(charts.skyline([], "none"))


def test_skylines_of_one_scale() -> None:
    _, rect = drawn(charts.skyline([charts.Block(10, 5, 0.5, "hue-3", "a")], "one", end=20))
    assert (float(rect.get("x")), float(rect.get("width"))) == (500, 250)
    assert rect.get("class") == "hue-3 fill"


def test_curves_are_as_high_as_their_values() -> None:
    root = drawn(charts.curves({"second": [1.0, 0.5, 0.0], "third": [0.25] * 3}, "two"))
    *grid, second, third = root[1:]
    assert [line.get("class") for line in grid] == ["grid line"] * 3
    assert root.get("viewBox") == "0 0 2 100"
    assert (second.get("class"), second.get("d")) == ("second line", "M0 0.0L1 50.0L2 100.0")
    assert third.get("d") == "M0 75.0L1 75.0L2 75.0"


def test_titles_are_text_whatever_they_hold() -> None:
    for chart in (
        charts.histogram_pair([1], [1], NASTY),
        charts.bar(0, NASTY),
        charts.line([1, 2], NASTY),
        charts.skyline([], NASTY),
        charts.curves({"second": [0, 1]}, NASTY),
    ):
        assert "<script" not in chart
        assert drawn(chart)[0].text == NASTY


def test_a_spark_has_gaps_where_nothing_is_known() -> None:
    root = drawn(charts.spark([1, 2, None, None, 4], "counts"))
    assert root.get("viewBox").startswith("0 0 5 ")
    before, after = (steps(path.get("d")) for path in root[1:])
    assert before == (0, [25, 50])
    assert after == (4, [100])


@pytest.mark.parametrize("values", [[], [None, None], [0, 0]])
def test_a_spark_of_nothing(values: list[float | None]) -> None:
    for path in drawn(charts.spark(values, "nothing"))[1:]:
        assert set(steps(path.get("d"))[1]) == {0}


def test_trails_are_in_pixels_and_end_with_a_dot() -> None:
    trail = charts.Trail([(10, 20), (30, 5), (7, 7)], "hue-3", NASTY)
    root = drawn(charts.trails([trail], 640, 360, "ways"))
    assert root.get("viewBox") == "0 0 640 360"
    way, dot = root[1:]
    assert way.get("d") == "M10 20L30 5L7 7"
    assert way.get("class") == "hue-3 trail"
    assert way[0].text == NASTY
    assert dot.get("d") == "M7 7h0"
