"""``sightline plan``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pipeline
from tests.cli.conftest import Command

#: As little as a proof can be.
QUICK = ("--frames", 4, "--seconds", 0, "--workers", 2)
ENGINES = """\
engines:
  cpu0: {backend: onnxruntime, threads: 1}
  cpu1: {backend: onnxruntime, threads: 1}   # the same again
  cv0: {backend: opencv, threads: 1}
  npu0: {backend: sim-npu, profile: hi3559a-nnie}
"""


def _with_engines(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("workers: 2", "workers: 2, engine: cpu0")
    path.write_text(ENGINES + text, encoding="utf-8")


def test_every_engine_is_measured_and_the_best_are_run(sightline: Command, street: Path) -> None:
    _with_engines(street)
    new = street.with_name("new.yaml")
    result = sightline("plan", street, *QUICK, "-o", new)
    assert result.code == 0, result.err
    lines = {tuple(line.split()[:2]): line for line in result.out.splitlines() if line.split()}
    assert "as written" in lines["detect", "cpu0"]
    assert "fp32" in lines["detect", "cv0"]
    assert "detect on cpu1: is the same as cpu0" in result.out
    assert "--target sim-npu" in " ".join(result.out.split())
    assert {"decode", "preprocess", "postprocess", "track"} <= {line[0] for line in lines}
    assert "proposed: " in result.out
    assert not Path("out").exists(), "an output was written"
    pipeline.load(new)
    assert "# the same again" in new.read_text(encoding="utf-8")


@pytest.mark.parametrize("goal", ["throughput", "latency"])
def test_json_has_all_of_it(sightline: Command, street: Path, goal: str) -> None:
    _with_engines(street)
    found = json.loads(sightline("plan", street, *QUICK, "--for", goal, "--json").out)
    assert found["goal"] == goal
    written, *others = found["contenders"]
    assert written["set"] == []
    assert written["against"] is None
    assert written["placement"] == {"detect": {"engine": "cpu0", "workers": 2}}
    assert "cv0" in {one["placement"]["detect"]["engine"] for one in others}
    for one in others:
        assert one["against"]["turns"] == 8
        assert one["against"]["low"] <= one["against"]["speedup"] <= one["against"]["high"]
        changed = pipeline.load(street, one["set"]).stages["detect"]
        assert changed.model_dump()["engine"] == (one["placement"]["detect"]["engine"],)
    assert found["contenders"][found["chosen"]]["ms"] > 0


def test_a_stage_that_may_stay_where_it_is_or_move(sightline: Command, street: Path) -> None:
    _with_engines(street)
    options = ("--stages", "preprocess", "--allow", "preprocess=host,cpu0", "--json")
    found = json.loads(sightline("plan", street, *QUICK, *options).out)
    own = [row for row in found["rows"] if row["stage"] == "preprocess"]
    assert [(row["engine"], row["written"]) for row in own] == [("", True), ("cpu0", False)]
    assert [one["set"] for one in found["contenders"]][1:] == [["stages.preprocess.engine=cpu0"]]


def test_with_one_engine_there_is_nothing_to_choose(sightline: Command, street: Path) -> None:
    result = sightline("plan", street)
    assert (result.code, result.err) == (0, "")
    assert "nothing to choose" in result.out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--stages", "track,detekt"), 2, "--stages detekt: no stage with an engine; did you mean"),
        (("--allow", "embed=cpu0"), 2, "'embed' is no stage to be placed"),
        (("--allow", "detect=cpu9"), 2, "no engine 'cpu9' here; did you mean 'cpu"),
        (("--rounds", "1"), 2, ""),
        (("-o", "nowhere/new.yaml"), 1, "there is no folder nowhere"),
        (("--allow", "detect=npu0"), 1, "no engine that is allowed can run stage 'detect'"),
        (("--set", "cameras[0].uri=none.mp4"), 1, "none.mp4: there is no such file"),
    ],
)
def test_a_wrong_request_is_told(
    sightline: Command, street: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    _with_engines(street)
    result = sightline("plan", street, *QUICK, *options)
    assert result.code == code
    assert words in result.err
