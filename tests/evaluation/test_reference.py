"""Scores equal those of the reference implementations (see record_expectations.py)."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.evaluation.detection_ap import average_precision
from pipeline.evaluation.evaluate import Rules, combine, evaluate
from pipeline.evaluation.mot_files import read_mot
from pipeline.evaluation.preprocess import Benchmark

HERE = Path(__file__).parent
ENTRIES = json.loads((HERE / "expectations.json").read_text())
COUNTS = {"TP", "FP", "FN", "IDSW", "Frag", "MT", "PT", "ML"}


def _chosen(kind: str, where: str) -> list[Any]:
    return [
        pytest.param(entry, id=f"{entry['benchmark']}-{Path(entry['result']).stem}")
        for entry in ENTRIES
        if (entry["kind"], entry["where"]) == (kind, where)
    ]


def _tables(root: Path, entry: dict[str, Any], name: str) -> Any:
    return read_mot(root / name / "gt" / "gt.txt"), read_mot(root / name / entry["result"])


def _check_tracks(entry: dict[str, Any], root: Path) -> None:
    rules = Rules(Benchmark(entry["benchmark"]))
    names = [name for name in entry["scores"] if name != "COMBINED"]
    scores = {name: evaluate(*_tables(root, entry, name), rules) for name in names}
    scores["COMBINED"] = combine(scores.values())
    for name, expected in entry["scores"].items():
        found = scores[name].summary()
        assert expected.keys() <= found.keys()
        for key, value in expected.items():
            if key in COUNTS:
                assert found[key] == value, (name, key)
            else:
                assert found[key] / 100 == pytest.approx(value, abs=1e-9), (name, key)


def _check_detections(entry: dict[str, Any], root: Path) -> None:
    for name, expected in entry["scores"].items():
        found = average_precision(*_tables(root, entry, name), iou=0.5)
        assert found == pytest.approx(expected["AP50"], abs=1e-9), name


@pytest.mark.parametrize("entry", _chosen("tracks", "cases"))
def test_tracks_of_made_up_sequences(entry: dict[str, Any]) -> None:
    _check_tracks(entry, HERE / "cases")


@pytest.mark.parametrize("entry", _chosen("detections", "cases"))
def test_detections_of_made_up_sequences(entry: dict[str, Any]) -> None:
    _check_detections(entry, HERE / "cases")


@pytest.mark.assets
@pytest.mark.parametrize("entry", _chosen("tracks", "assets"))
def test_tracks_of_real_sequences(entry: dict[str, Any], assets: Path) -> None:
    _check_tracks(entry, assets / "tracking" / entry["benchmark"])


@pytest.mark.assets
@pytest.mark.parametrize("entry", _chosen("detections", "assets"))
def test_detections_of_real_sequences(entry: dict[str, Any], assets: Path) -> None:
    _check_detections(entry, assets / "tracking" / entry["benchmark"])
