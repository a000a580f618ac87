"""``sightline listen`` against a real run over the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


def test_nothing_comes(sightline: Command) -> None:
    result = sightline("listen", "--bind", "127.0.0.1:0", "--timeout", "0.1", "--strict")
    assert result.code == 0
    assert "0 messages" in result.err
