"""``sightline run`` and what it shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


def test_a_run_writes_its_results_and_accounts_for_every_frame(
    sightline: Command, street: Path
) -> None:
    result = sightline("run", street, "--progress", "plain")
    assert result.code == 0, result.err
    lines = Path("out/tracks.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(6))
    assert "ledger balanced: 6 in = 6 out + 0 dropped" in result.out
    assert "the bottleneck is" in result.out
    assert "of the ideal on" in result.out
    for stage in ("decode", "preprocess", "detect", "postprocess", "track", "file"):
        assert stage in result.out
    boundaries = result.out[result.out.index("kB in") :].splitlines()
    assert boundaries[2].split()[:7] == ["detect", "cpu0", "6", "12.3", "0.5", "0.00", "0.00"]


def test_json_is_for_machines(sightline: Command, street: Path) -> None:
    result = sightline("run", street, "--json")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert {line["type"] for line in lines[:-1]} <= {"progress"}
    report = lines[-1]
    assert report["type"] == "report"
    assert report["ledger"]["gate"]["entered"] == report["ledger"]["gate"]["emitted"] == 6
    assert report["balanced"] is True
    assert report["stages"][0]["name"] == "decode"
    sizes = [(stage["array_bytes"], stage["picture_bytes"]) for stage in report["stages"]]
    picture, tensor, output = 64 * 48 * 3, 4 * 3 * 32 * 32, 4 * 21 * 6
    assert sizes[:3] == [(0, picture), (tensor, picture), (output, picture)]
    (boundary,) = report["boundaries"]
    assert boundary["run_ms"] > 0
    assert boundary["wait_ms"] > 0
    del boundary["run_ms"], boundary["wait_ms"]
    assert boundary == {
        "stage": "detect", "engine": "cpu0", "frames": 6, "forwards": 6,
        "bytes_in": tensor, "bytes_out": output, "bytes_copied": 0,
        "quantise_ms": 0, "dequantise_ms": 0, "copy_in_ms": 0, "copy_out_ms": 0,
    }  # fmt: skip


def test_quiet_is_quiet(sightline: Command, street: Path) -> None:
    result = sightline("run", street, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_set_changes_a_key(sightline: Command, street: Path) -> None:
    result = sightline(
        "run", street, "--set", "outputs[0].file.path=b.csv", "--set", "cameras.gate.every=2"
    )
    assert result.code == 0, result.err
    assert not Path("out").exists()
    assert "6 in = 3 out + 3 dropped" in result.out
    assert Path("b.csv").exists()


def test_the_results_do_not_depend_on_the_workers(sightline: Command, street: Path) -> None:
    for workers in (1, 2):
        override = f"outputs[0].file.path=out/{workers}.jsonl"
        run = sightline(
            "run", street, "--set", f"stages.detect.workers={workers}", "--set", override
        )
        assert run.code == 0, run.err
    assert Path("out/1.jsonl").read_bytes() == Path("out/2.jsonl").read_bytes()


def test_a_network_that_gives_nan_makes_blind_frames(
    sightline: Command, street: Path, tmp_path: Path, package: Callable[[float], Any]
) -> None:
    (tmp_path / "models").rename(tmp_path / "other")
    sick = package(float("nan"))
    result = sightline("run", street, "--json", "--set", f"stages.detect.model={sick}")
    assert result.code == 0, result.err
    lines = [json.loads(line) for line in Path("out/tracks.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["blind"] * 6
    report = json.loads(result.out.splitlines()[-1])
    assert sum(stage["blind"] for stage in report["stages"]) >= 6


def test_a_camera_that_is_not_there_ends_alone(sightline: Command, street: Path) -> None:
    text = street.read_text().replace("cameras:\n", "cameras:\n  - {id: yard, uri: no.mp4}\n")
    street.write_text(text)
    result = sightline("run", street)
    assert result.code == 3
    assert "no.mp4: there is no such file" in result.err
    assert "6 in = 6 out" in result.out


def test_sigterm_lets_what_is_under_way_finish(street: Path, tmp_path: Path) -> None:
    arguments = [street, "--set", "cameras.gate.loop=true", "--json"]
    command = [sys.executable, "-m", "pipeline.cli.main", "run", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())  # it runs
        process.send_signal(signal.SIGTERM)
        report = json.loads(process.stdout.read().splitlines()[-1])
        assert process.wait(timeout=60) == 0
    assert first["type"] == "progress"
    assert report["finished"] is True
    assert report["balanced"] is True
    assert report["aborted"] is False


@pytest.mark.parametrize("style", ["plain", "rich"])
def test_progress_is_shown_while_it_runs(
    style: str, sightline: Command, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.cli.progress._LINE_S", 0.0)
    monkeypatch.setattr("pipeline.cli.progress._TABLE_S", 0.0)
    pace = ("--set", "cameras.gate.pace=realtime", "--set", "cameras.gate.fps=10")
    result = sightline("run", street, "--progress", style, *pace)
    assert result.code == 0
    assert "gate" in result.err
    assert ("busiest" if style == "plain" else "queue") in result.err
