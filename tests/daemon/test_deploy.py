"""What ships for operators names only what exists."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import loads
from pipeline.daemon.http import metrics
from pipeline.daemon.insight import Insight
from pipeline.health import Kind, Limits
from pipeline.media.source import SourceState
from pipeline.sharding.deployment import deploy
from tests.promises.harness import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@pytest.fixture(scope="module")
def exported(spotter: Path) -> set[str]:
    """The names of every sample a daemon exports."""
    config = loads(
        "cameras: [{id: gate, uri: rendered:day}]\n"
        f"stages: {{detect: {{model: {spotter}}}}}\noutputs: [{{udp: {{to: '127.0.0.1:9'}}}}]"
    )
    text = metrics.render(Insight(deploy(config), Limits())).decode()
    found = re.findall(r"^# TYPE (sightline_\w+) (\w+)$", text, re.MULTILINE)
    return {
        name.removesuffix("_total") + suffix for name, kind in found for suffix in _SUFFIXES[kind]
    }


def texts(value: Any) -> Iterator[str]:
    """Every text in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def queries() -> list[str]:
    documents: list[Any] = [json.loads((DEPLOY / "grafana/sightline.json").read_text())]
    documents.append(yaml.safe_load((DEPLOY / "alerts.yml").read_text()))
    return [text for text in texts(documents) if "sightline_" in text]


def test_dashboard_and_alerts_ask_only_for_what_is_exported(exported: set[str]) -> None:
    named = {name for query in queries() for name in re.findall(r"sightline_\w+", query)}
    assert len(named) > 15
    assert named <= exported


def test_they_know_the_states_and_kinds_there_are() -> None:
    for label, known in (("state", SourceState), ("kind", Kind)):
        for query in queries():
            for values in re.findall(rf'\b{label}=~?"([^"]*)"', query):
                assert set(values.split("|")) <= {str(one) for one in known}


def test_every_panel_has_its_place_and_a_query() -> None:
    dashboard = json.loads((DEPLOY / "grafana/sightline.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert all(target["expr"] for target in panel["targets"])


def test_the_unit_runs_what_there_is_and_waits_long_enough() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "sightline.service")
    service = unit["Service"]
    assert service["ExecStart"].split()[1:4] == ["run", "--daemon", "--log"]
    drain_s = loads("cameras: [{id: a, uri: a.mp4}]\nstages: {detect: {model: m}}").run.drain_s
    assert float(service["TimeoutStopSec"]) > 2 * drain_s
    assert service["Type"].startswith("notify")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit_and_calls_it_hardened(tmp_path: Path) -> None:
    unit = tmp_path / "sightline.service"
    text = (DEPLOY / "sightline.service").read_text()
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    told = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60
    )
    complaints = [line for line in told.stderr.splitlines() if str(unit) in line]
    # Before systemd 253 it does not know this type, as the unit says.
    assert [line for line in complaints if "notify-reload" not in line] == []
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout[-300:]
