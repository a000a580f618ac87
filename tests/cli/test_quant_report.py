"""The command `sightline quant-report`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.resources import shipped

Command = Callable[..., Any]
DAY = shipped("sample_videos") / "day"
CONFIG = """
cameras: [{id: street, uri: "%s"}]
engines: {cpu0: {backend: onnxruntime, threads: 1}}
stages:
  detect: {model: street-pico, engine: cpu0}
outputs: [{file: {path: out.jsonl}}]
"""
BF16 = ("--candidate", "openvino", "--candidate-set", "engines.openvino.precision=bf16")


@pytest.fixture
def street(tmp_path: Path) -> Path:
    path = tmp_path / "street.yaml"
    path.write_text(CONFIG % f"{DAY}.mp4")
    return path


def test_tables_for_people(sightline: Command, street: Path) -> None:
    options = ("--frames", "6", "--max-drop", "hota=50", "-o", "page/report.html")
    found = sightline("quant-report", street, *BF16, *options)
    assert (found.code, found.err) == (0, "")
    for text in ("AP50-95", "HOTA", "SNR dB", "bf16", f"6 frames; ground truth: {DAY}"):
        assert text in found.out
    assert not Path("out.jsonl").exists()
    page = Path("page/report.html").read_text()
    assert "street.yaml: as written → openvino engines.openvino.precision=bf16" in page
    assert "The gate holds" in page


def test_json_and_a_gate_that_fails(sightline: Command, street: Path) -> None:
    limits = ("--max-drop", "Hota=-1000", "--max-drop", "ap50=1", "--max-drop", "rank-1=0")
    found = sightline("quant-report", street, *BF16, "--frames", "6", "--json", *limits)
    assert found.code == 1
    said = found.err.splitlines()
    assert [line.split(" (")[0] for line in said] == [
        "HOTA drops by " + said[0].split()[3],
        "rank-1 was not measured, so its drop cannot be held to 0",
    ]
    assert "more than -1000" in said[0]
    told = json.loads(found.out)
    assert told["frames"] == 6
    assert {figure["name"] for figure in told["figures"]} >= {"AP50", "HOTA", "IDSW"}
    assert told["candidate"]["engines"][0]["backend"] == "openvino"
    failed = {verdict["name"]: bool(verdict["complaint"]) for verdict in told["verdicts"]}
    assert failed == {"HOTA": True, "AP50": False, "rank-1": True}


def test_a_file_of_ground_truth_by_the_rules_of_a_benchmark(
    sightline: Command, street: Path, tmp_path: Path
) -> None:
    rows = [line.split(",") for line in (DAY / "gt" / "gt.txt").read_text().splitlines()]
    half = [[*row[:2], *(str(float(v) / 2) for v in row[2:6]), row[6], "-1,-1,-1"] for row in rows]
    truth = tmp_path / "truth.txt"
    truth.write_text("".join(",".join(row) + "\n" for row in half))
    options = ("--frames", "6", "--json", "--candidate", "cpu0")
    scale = ("--truth", truth, "--gt-scale", "2", "--benchmark", "MOT15")
    found = sightline("quant-report", street, *options, *scale)
    assert found.code == 0, found.err
    figures = {figure["name"]: figure for figure in json.loads(found.out)["figures"]}
    assert figures["AP50"]["reference"] > 0.5
    assert figures["AP50"]["drop"] == 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "expected --candidate ENGINE"),
        (["--candidate", "opencvv"], 2, "did you mean 'opencv'"),
        (["--candidate", "cpu0", "--max-drop", "hotta=1"], 1, "there are AP50, AP50-95"),
        (["--candidate", "cpu0", "--max-drop", "hota"], 1, "not 'hota'"),
        (["--candidate", "cpu0", "--truth", "nowhere.txt"], 1, "nowhere.txt: cannot be read"),
        (["--candidate", "cpu0", "--reid", "street-pico"], 2, "is for detect, not embed"),
        (["--candidate-set", "stages.detect.modell=x"], 2, "modell"),
    ],
)
def test_mistakes_are_explained(
    options: list[str], code: int, said: str, sightline: Command, street: Path
) -> None:
    found = sightline("quant-report", street, *options)
    assert found.code == code
    assert said in found.err


def test_one_file_of_ground_truth_is_not_for_two_cameras(
    sightline: Command, street: Path, tmp_path: Path
) -> None:
    more = ("--set", f"cameras=[{{id: a, uri: {DAY}.mp4}}, {{id: b, uri: {DAY}.mp4}}]")
    options = ("--candidate", "cpu0", "--frames", "2", *more)
    found = sightline("quant-report", street, *options, "--truth", DAY)
    assert "there are 2 cameras; write {camera}" in found.err
    for camera in "ab":
        (tmp_path / f"{camera}.txt").write_bytes((DAY / "gt" / "gt.txt").read_bytes())
    found = sightline("quant-report", street, *options, "--truth", tmp_path / "{camera}.txt")
    assert found.code == 0, found.err
    assert "a.txt, " in found.out
