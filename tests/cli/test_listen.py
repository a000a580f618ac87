"""``sightline listen`` against a real run over the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.analytics.event import Analysis, Event
from pipeline.cli.listen import line
from pipeline.output.message import Message
from pipeline.packet import Status
from pipeline.tracking.track import Tracks

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., Any]


@pytest.mark.parametrize("form", ["telegram", "json"])
def test_what_a_run_sends_is_received(
    form: str, sightline: Command, street: Path, tmp_path: Path
) -> None:
    command = ["listen", "--bind", "127.0.0.1:0", "--count", "6", "--timeout", "60", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli.main", *command, "--strict", "--out", "got.jsonl"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    ) as listener:  # fmt: skip
        assert listener.stderr is not None
        address = listener.stderr.readline().split()[-1]
        udp = f"outputs=[{{udp: {{to: '{address}', format: {form}}}}}]"
        assert sightline("run", street, "--set", udp).code == 0
        account = json.loads(listener.stderr.read())
        assert listener.wait(timeout=60) == 0
    assert (account["messages"], account["lost"], account["malformed"]) == (6, 0, {})
    lines = [json.loads(line) for line in (tmp_path / "got.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(6))
    assert {line["camera"] for line in lines} == {"gate"}


@pytest.mark.parametrize("where", ["file", "environment"])
def test_with_a_key_only_sealed_telegrams_are_heard(
    where: str, sightline: Command, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "c3" * 32
    monkeypatch.setenv("UDP_KEY", key)
    (tmp_path / "udp.key").write_text(key + "\n")
    if where == "environment":
        monkeypatch.setenv("SIGHTLINE_UDP_KEY", key)
    given = ["--key", str(tmp_path / "udp.key")] if where == "file" else []
    command = ["listen", "--bind", "127.0.0.1:0", "--count", "7", "--timeout", "60", *given]
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli.main", *command, "--json"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as listener:  # fmt: skip
        assert listener.stderr is not None
        address = listener.stderr.readline().split()[-1]
        for udp in (
            f"{{to: '{address}'}}",
            f"{{to: '{address}', secure: {{key: '${{UDP_KEY}}'}}}}",
        ):
            assert sightline("run", street, "--set", f"outputs=[{{udp: {udp}}}]").code == 0
        account = json.loads(listener.stderr.read())
    assert (account["messages"], account["refused"]) == (7, {"unauthenticated": 7})


@pytest.mark.parametrize(
    ("text", "named"), [("abc", "openssl rand"), (None, "cannot be read: No such file")]
)
def test_a_key_that_is_none_is_not_shown(
    text: str | None, named: str, sightline: Command, tmp_path: Path
) -> None:
    if text:
        (tmp_path / "udp.key").write_text(text)
    result = sightline("listen", "--bind", "127.0.0.1:0", "--key", tmp_path / "udp.key")
    assert result.code == 1
    assert named in result.err
    assert "abc" not in result.err


def test_a_line_is_followed_by_what_happened() -> None:
    events = (
        Event("gate", "cross", 479_600_000, 5, 1, (320.4, 180.0), "in"),
        Event("yard", "crowd", 480_000_000, 0, -1, (10.0, 20.0), value=12.0),
    )
    frame = Message(
        *("gate", 0, 12, 480_000_000, 640, 360, Status.OK, "", "cpu0", Tracks.empty()),
        analysis=Analysis(events),
    )
    part = replace(frame, fragment=1, fragments=2, analysis=None)
    assert line(part) == "gate #12 2/2 0.480 s ok 0 tracks"
    assert line(frame).splitlines() == [
        "gate #12 0.480 s ok 0 tracks",
        "  ! 0.480 s gate cross in 5:1@320,180",
        "  ! 0.480 s yard crowd 12 objects@10,20",
    ]


def test_nothing_comes(sightline: Command) -> None:
    result = sightline("listen", "--bind", "127.0.0.1:0", "--timeout", "0.1", "--strict")
    assert result.code == 0
    assert "0 messages" in result.err
