"""How good a network in eight bits is, by what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.media.geometry import place
from pipeline.models.manifest import Manifest, read_manifest
from pipeline.quantisation.inputs import Material, Sample
from pipeline.quantisation.quality import (
    DetectorJudge,
    EmbedderJudge,
    Quality,
    TensorJudge,
    judge_of,
)
from pipeline.quantisation.truth import FileTruth

WHOLE = place(48, 32, 48, 32)


@pytest.fixture
def manifest(light_meter: Path) -> Manifest:
    """Of a detector whose outputs are boxes and scores, in a picture of 48 x 32."""
    return read_manifest(light_meter / "model.yaml")


def _found(*boxes: tuple[float, float, float]) -> Mapping[str, np.ndarray]:
    """Squares of side 8 with a left, a top and a score each."""
    rows = np.array(boxes, np.float32).reshape(-1, 3)
    corners = np.hstack([rows[:, :2], rows[:, :2] + 8])
    return {"boxes": corners[None], "scores": rows[None, :, 2]}


def _material(frames: int, truth: FileTruth | None = None) -> Material:
    samples = tuple(Sample({}, frame, WHOLE) for frame in range(frames))
    return Material((), samples, truth, "four walls")


EXACT = [_found((0, 0, 0.9), (20, 8, 0.1)), _found((10, 10, 0.6))]


def test_a_detector_keeps_what_it_is_sure_of(manifest: Manifest) -> None:
    judge = judge_of(manifest, _material(2), EXACT)
    assert isinstance(judge, DetectorJudge)
    assert judge(EXACT).value == 1
    # The faint one may go, or come with more confidence; what is not there must not come.
    assert judge([_found((0, 0, 0.8)), EXACT[1]]).value == 1
    assert judge([_found((0, 0, 0.8), (20, 8, 0.85)), EXACT[1]]).value == 1
    assert judge([_found((0, 0, 0.5), (36, 20, 0.9)), EXACT[1]]).value == pytest.approx(
        0.66, abs=0.02
    )
    assert judge([EXACT[0], _found()]).value == pytest.approx(0.5, abs=0.01)
    moved = judge([_found((1.5, 0, 0.9)), EXACT[1]])  # overlaps by 0.68
    assert list(moved.figures.values()) == [1, pytest.approx(0.25, abs=0.01)]
    assert moved.value == pytest.approx(0.625, abs=0.01)
    nudged, further = (judge([_found((left, 0, 0.9)), EXACT[1]]) for left in (0.1, 0.5))
    assert nudged.value == further.value == 1
    assert nudged.finer > further.finer


def test_a_detector_is_held_against_the_truth_as_well(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("1,1,1,1,8,8,1\n2,1,31,1,8,8,1\n")
    judge = judge_of(manifest, _material(2, FileTruth(tmp_path / "gt.txt")), EXACT)
    assert judge.measure.endswith(f"against {tmp_path / 'gt.txt'}")
    assert judge(EXACT).value == 1
    # It is as right as before about the first, which is all float32 had right.
    worse = judge([EXACT[0], _found()])
    assert worse.value == pytest.approx(0.5, abs=0.01)
    assert worse.figures["AP"] == worse.figures["AP of source"] == pytest.approx(0.5, abs=0.01)
    assert judge([_found(), EXACT[1]]).value == 0


def test_an_enlarged_picture_is_not_held_against_the_truth(
    manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "gt.txt").write_text("1,1,1,1,8,8,1\n")
    samples = (Sample({}, 0, WHOLE), Sample({}, 0, WHOLE, zoom=2))
    material = Material((), samples, FileTruth(tmp_path / "gt.txt"), "four walls")
    judge = judge_of(manifest, material, EXACT)
    found = judge([EXACT[0], _found()])
    assert found.value == pytest.approx(0.5, abs=0.01)
    assert found.figures["AP"] == found.figures["AP of source"] == 1


def test_classes_that_do_not_count_are_left_out(manifest: Manifest) -> None:
    shape = {"name": "kinds", "shape": (1, -1), "dtype": "float32"}
    known = manifest.model_dump(by_alias=True)
    manifest = Manifest.model_validate(
        known
        | {"labels": ("light", "lamp"), "head": {"family": "boxes", "labels": "kinds"}}
        | {"outputs": (*known["outputs"], shape)}
    )
    kinds = {"kinds": np.array([[0, 1]])}
    exact = [{**_found((0, 0, 0.9), (20, 8, 0.8)), **kinds}]
    found = [{**_found((0, 0, 0.9), (20, 8, 0.0)), **kinds}]
    assert judge_of(manifest, _material(1), exact)(found).value == pytest.approx(0.5, abs=0.01)
    assert judge_of(manifest, _material(1), exact, ["light"])(found).value == 1


def test_a_detector_that_finds_nothing_cannot_be_judged(manifest: Manifest) -> None:
    with pytest.raises(DataError, match=r"four walls: the network finds nothing there; .*: light"):
        judge_of(manifest, _material(1), [_found((0, 0, 0.2))])


def _vectors(*rows: tuple[float, float]) -> list[Mapping[str, np.ndarray]]:
    return [{"embedding": np.array([row], np.float32)} for row in rows]


def test_an_embedder_points_where_it_did_and_finds_the_same(mean_color: Path) -> None:
    manifest = read_manifest(mean_color / "model.yaml")
    seen = [(0, 1), (0, 2), (1, 1), (1, 2), (1, -1)]  # frame, identity
    samples = tuple(Sample({}, frame, identity=identity) for frame, identity in seen)
    exact = _vectors((2, 0), (0, 2), (1, 0.1), (0.1, 1), (-1, 0))
    judge = judge_of(manifest, Material((), samples, None, ""), exact)
    assert isinstance(judge, EmbedderJudge)
    same = judge(exact)
    assert same.value == pytest.approx(1)
    assert (same.figures["rank-1"], same.figures["rank-1 of source"]) == (1, 1)
    # Length is nothing, direction all; the last two of the other frame now look like each other.
    assert judge(_vectors((1, 0), (0, 1), (10, 1), (1, 10), (-3, 0))).value == pytest.approx(1)
    confused = judge(_vectors((2, 0), (0, 2), (0.1, 1), (1, 0.1), (-1, 0)))
    assert (confused.value, confused.figures["rank-1"]) == (0, 0)
    unknown = tuple(Sample({}, frame) for frame in range(5))
    judge = EmbedderJudge(unknown, exact)
    assert set(judge(exact).figures) == {"cosine"}


def test_of_any_other_network_the_worst_output_counts() -> None:
    exact = [{"a": np.array([1.0, 0.0]), "b": np.array([3.0, 4.0])}]
    judge = judge_of(None, _material(1), exact)
    assert isinstance(judge, TensorJudge)
    assert judge(exact).value == 1
    found = judge([{"a": np.array([1.0, 0.0]), "b": np.array([4.0, 3.0])}])
    assert found.value == pytest.approx(0.96)
    assert found.figures == {
        "cosine a": 1, "cosine b": pytest.approx(0.96), "SNR b": pytest.approx(10.97, abs=0.01)
    }  # fmt: skip


def test_less_than_a_percent_is_left_to_the_finer_measure() -> None:
    good, finer, worse = Quality(0.999, 0.5, {}), Quality(0.996, 0.6, {}), Quality(0.98, 1, {})
    assert sorted([finer, worse, good], key=lambda one: one.rank) == [worse, good, finer]
