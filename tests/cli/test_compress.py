"""``sightline models prune`` and ``factorise``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_a_shipped_model_is_pruned_and_judged(sightline: Command, tmp_path: Path) -> None:
    result = sightline(
        *("models", "prune", "reid-pico", "--ratio", 0.2, "-o", "thin.onnx", "--seconds", 0),
        *("--keep", "/project/Gemm", "--multiple", 2),
    )
    assert result.code == 0, result.err
    for words in ("24x3x3x3", "20x3x3x3", "left alone: /project/Gemm", "parameters: 211,988 → ",
                  "multiply-adds: 18,710,528 → ", "at best", "rank-1", "its quality",
                  "written: thin.onnx"):  # fmt: skip
        assert words in result.out
    assert {path.name for path in tmp_path.glob("thin*")} == {"thin.onnx", "thin.report.json"}


def test_json_is_the_report(sightline: Command, tmp_path: Path) -> None:
    result = sightline(
        *("models", "factorise", "reid-pico", "--ratio", 0.1, "-o", "made/split.onnx"),
        *("--seconds", 0, "--json"),
    )
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert report == json.loads((tmp_path / "made/split.report.json").read_text())
    assert report["method"] == "factorise"
    assert report["wish"] == {"energy": None, "ratio": 0.1}


def test_nothing_to_split_ends_with_1(sightline: Command, tmp_path: Path) -> None:
    result = sightline("models", "factorise", "reid-pico", "--energy", 0.9999, "-o", "split.onnx")
    assert result.code == 1
    assert "changes nothing" in result.out
    assert "and 4 more: a kernel of 3x3" in result.out
    assert not list(tmp_path.glob("split*"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["prune", "reid-pico", "-o", "thin.onnx"], "either a ratio of channels to take out"),
        (["prune", "reid-pico", "--ratio", "1.5", "-o", "thin.onnx"], "got 1.5"),
        (["prune", "reid-pico", "--ratio", "0.5", "--keep", "/project/Gem", "-o", "thin.onnx"],
         "no layer '/project/Gem'; did you mean '/project/Gemm'?"),
        (["prune", "no-such-model", "--ratio", "0.5", "-o", "thin.onnx"], "no model 'no-such-"),
        (["prune", "hog-people", "--ratio", "0.5", "-o", "thin.onnx"], "built into an engine"),
        (["factorise", "reid-pico", "--energy", "0", "-o", "split.onnx"], "between 0 and 1, got 0"),
        (["factorise", "reid-pico", "--energy", "0.9", "-o", "split"], "expected a file NAME.onnx"),
        (["factorise", "reid-pico", "--energy", "0.9", "--with", "no.mp4", "-o", "split.onnx"],
         "no.mp4"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_in_one_line(
    sightline: Command, tmp_path: Path, args: list[str], words: str
) -> None:
    result = sightline("models", *args)
    assert result.code in (1, 2)
    assert words in result.err.replace("\n", " ")
    assert len(result.err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
