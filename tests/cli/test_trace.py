import json
from pathlib import Path

from tests.cli.conftest import Command


def test_a_frame_is_shown_and_written(sightline: Command, street: Path) -> None:
    result = sightline("run", street, "-q", "--trace-frame", "gate:3", "--trace", "out/trace.json")
    assert result.code == 0
    assert "gate frame 3 at 0.120 s" in result.out
    for stage in ("preprocess", "detect", "postprocess", "file"):
        assert stage in result.out
    events = json.loads(Path("out/trace.json").read_text())["traceEvents"]
    assert {event["args"]["frame"] for event in events if event["ph"] == "X"} == {3}


def test_every_second_frame(sightline: Command, street: Path) -> None:
    result = sightline("run", street, "--json", "--trace-every", "2", "--trace", "trace.json")
    json.loads(result.out.splitlines()[-1])  # the report; no table behind it
    events = json.loads(Path("trace.json").read_text())["traceEvents"]
    assert {event["args"]["frame"] for event in events if event["ph"] == "X"} == {0, 2, 4}


def test_a_frame_that_is_not_one(sightline: Command, street: Path) -> None:
    result = sightline("run", street, "--trace-frame", "gate")
    assert result.code == 2
    assert "write such as gate:100" in result.err


def test_other_processes_are_not_traced(sightline: Command, street: Path) -> None:
    result = sightline("run", street, "--trace-every", "1", "--set", "run.shards=2")
    assert result.code == 2
    assert "add --set run.shards=1" in result.err
