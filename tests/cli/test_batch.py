"""``sightline batch``: what it says, to people and to programs, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.batch.archive import configure, film

Command = Callable[..., Any]


@pytest.fixture
def street(tmp_path: Path, spotter: Path) -> Path:
    """A configuration, and beside it a film."""
    film(tmp_path / "gate.mp4", frames=20)
    return configure(tmp_path / "street.yaml", spotter)


def test_programs_get_a_line_an_event_and_people_a_summary(
    sightline: Command, street: Path
) -> None:
    inputs = ("gate.mp4", "nowhere.mp4", "-o", "out", "--processes", 1)
    result = sightline("batch", street, *inputs, "--json")
    assert result.code == 3, result.err
    lines = [json.loads(line) for line in result.out.splitlines()]
    of_kind = {kind: [x for x in lines if x["type"] == kind] for kind in ("probed", "clip")}
    probed = {line["clip"]["name"]: line["clip"] for line in of_kind["probed"]}
    assert (probed["gate"]["frames"], probed["gate"]["segments"]) == (20, 2)
    assert "no such file" in probed["nowhere"]["error"]
    assert of_kind["clip"] == [{"type": "clip", "clip": "gate", "error": ""}]
    assert any(line["type"] == "progress" for line in lines)
    report = lines[-1]
    assert (report["type"], report["exit_code"], report["made"]) == ("report", 3, ["gate"])
    assert report["run"]["frames"] == 20

    again = sightline("batch", street, *inputs)
    assert again.code == 3
    assert "nowhere: cannot be read: nowhere.mp4: there is no such file" in again.err
    assert "1 videos complete, 0 of them made now, 1 failed" in again.out
    assert "see out/report.html" in again.out
    assert sightline("batch", street, *inputs, "--quiet").out == ""

    changed = sightline("batch", street, *inputs, "--set", "batch.every=2")
    assert changed.code == 2
    assert "configuration.batch.every: 1, now 2\nuse --force" in changed.err


def test_a_dry_run_estimates_and_leaves_nothing(sightline: Command, street: Path) -> None:
    result = sightline("batch", street, "gate.mp4", "-o", "out", "--dry-run", "--processes", 1)
    assert result.code == 0, result.err
    assert "1 of 1 videos to do: 20 frames, 0.00 hours" in result.out
    assert "by the beginning of gate: about 0:0" in result.out
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--processes", "none"), "expected a number from 1 to 256, or auto"),
        (("--force", "--only-failed"), "leave it or --only-failed out"),
        (("--set", "stages.detect.modell=x"), "unknown key 'modell'"),
    ],
)
def test_wrong_usage(
    sightline: Command, street: Path, arguments: tuple[str, ...], told: str
) -> None:
    result = sightline("batch", street, "gate.mp4", "-o", "out", *arguments)
    assert result.code == 2
    assert told in result.err
    assert not Path("out").exists()


def test_nothing_to_look_at(sightline: Command, street: Path) -> None:
    result = sightline("batch", street, "nowhere.mp4", "-o", "out")
    assert result.code == 1
    assert "nowhere.mp4: there is no such file" in result.err
    assert not Path("out").exists()
