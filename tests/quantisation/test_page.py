"""The page of a compilation holds what the report holds, and nothing that could do harm."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engines.sim_npu import profiles
from engines.sim_npu.compiler.blame import blame
from engines.sim_npu.compiler.compile import Choice, finish, prepare, quantised
from pipeline.page.numbers import decimal, quantity, share
from pipeline.quantisation.page import compile_page
from tests.conftest import REPOSITORY
from tests.engines.sim_npu.compiler import drawn
from tests.page.reading import Page, read

PICO = REPOSITORY / "models" / "street-pico"
NNIE = profiles.find("hi3559a-nnie")
NASTY = '"><script>alert(1)</script>'


@cache
def detector() -> str:
    """All that is told of the shipped detector, as JSON."""
    feeds = [{"images": np.load(PICO / "test_vector.npz")["images"].astype(np.float32)}]
    prepared, choice = prepare(PICO / "street-pico.onnx", feeds), Choice()
    report = finish(prepared, NNIE, choice, feeds).report
    trial = {
        "choice": report["choice"],
        "quality": {"value": 0.984, "figures": {"AP50": 0.61}},
        "device_s": report["device_s"],
        "on_device": len(report["layers"]),
        "on_host": len(report["host"]),
        "cuts": len(report["cuts"]),
        "bytes_copied": report["bytes_copied"],
    }
    other = trial | {"choice": report["choice"] | {"method": "entropy"}}
    told = {
        "verdict": "good enough",
        "source": {"file": "street-pico.onnx"},
        "profile": asdict(NNIE),
        "measure": "AP50-95",
        "min_quality": 0.97,
        "quality": trial["quality"],
        "calibrated_on": "one picture",
        "trials": [other, trial],
        "blame": [asdict(one) for one in blame(quantised(prepared, choice), feeds)],
        "versions": {"sightline": "0.1.0"},
        "when": "2026-01-02T03:04:05+00:00",
    }
    return json.dumps(report | told, allow_nan=False)


@pytest.fixture
def report() -> dict[str, Any]:
    return dict(json.loads(detector()))


@pytest.fixture
def page(report: dict[str, Any]) -> Page:
    return read(compile_page(report))


def test_it_begins_with_what_matters(page: Page) -> None:
    assert page.text("h1") == "street-pico.onnx on hi3559a-nnie"
    facts = dict(zip(page.listed("dt"), page.listed("dd"), strict=False))
    assert facts["Quality kept"] == "98.4 %"
    assert facts["Asked for"] == "97.0 %"
    assert facts["Calibration"] == "min-max"
    assert facts["Calibrated on"] == "one picture"
    assert page.text("strong") == "good enough"
    assert "2026-01-02" in page.text("footer")


def test_the_contents_lead_to_every_section(page: Page) -> None:
    sections = ["search", "blame", "partition", "passes", "schedule", "layers"]
    assert [anchor for anchor in page.anchors if anchor in sections] == sections
    assert set(page.anchors) <= set(page.ids)


def test_every_table_row(report: dict[str, Any], page: Page) -> None:
    worst = [row for row in page.rows if len(row) == 6 and row[0].isdecimal()]
    for (_, layer, operator, _, part, alone), one in zip(worst, report["blame"], strict=False):
        assert (layer, operator) == (one["layer"], one["operator"])
        assert (part, alone) == (share(one["share"]), decimal(one["snr_db"]))
    assert len(worst) == 15
    rows = [" ".join(row) for row in page.rows]
    for cut in report["cuts"]:
        assert [row for row in rows if cut["tensor"] in row and cut["change"] in row]
    for one in report["host"]:
        assert [row for row in rows if one["node"] in row and one["reason"] in row]
    for one in report["passes"]:
        assert f"{one['nodes_before']} {one['nodes_after']}" in " ".join(rows)
    assert "entropy channel  98.4 % 0.6100" in " ".join(rows)


def test_every_layer_is_a_row_that_opens(report: dict[str, Any], page: Page) -> None:
    summaries = page.listed("summary")[-len(report["layers"]) :]
    for number, (layer, summary) in enumerate(zip(report["layers"], summaries, strict=True), 1):
        assert f"layer-{number}" in page.ids
        assert layer["name"] in summary
        time_s = layer["cycles"] / NNIE.clock_hz
        assert quantity(time_s, "s") in summary
    histograms = [title for title in page.listed("title") if "float32 and in int8" in title]
    assert len(histograms) == len(report["layers"])


def test_the_trial_that_was_taken_is_marked(report: dict[str, Any]) -> None:
    page = compile_page(report)
    chosen = page[page.index('<tr class="chosen">') :]
    assert "min-max" in chosen[: chosen.index("</tr>")]
    assert page.count('class="chosen"') == 1


def test_what_is_not_there_is_left_out(report: dict[str, Any]) -> None:
    bare = ("choice", "passes", "device_s", "attained", "host", "cuts", "bytes_copied", "layers")
    page = read(compile_page({key: report[key] for key in bare}))
    assert page.text("h1") == "A compiled network"
    assert "search" not in page.ids
    assert "blame" not in page.ids
    assert "layers" in page.ids
    assert not [title for title in page.listed("title") if "float32 and in int8" in title]


@pytest.mark.parametrize("profile", ["hi3559a-nnie", "hi3559a-mali"])
def test_a_network_without_host_and_without_search(tmp_path: Path, profile: str) -> None:
    drawing = drawn.Drawing(2)
    drawing.conv()
    onnx.save(drawing.model(), tmp_path / "small.onnx")
    prepared = prepare(tmp_path / "small.onnx", [drawn.image()])
    made = finish(prepared, profiles.find(profile), Choice(), [drawn.image(1)])
    page = read(compile_page(made.report))
    assert "layer-1" in page.ids


def test_names_are_text_whatever_they_hold(report: dict[str, Any]) -> None:
    name = report["layers"][0]["name"]
    text = json.dumps(report).replace(json.dumps(name)[1:-1], json.dumps(NASTY)[1:-1])
    found = json.loads(text)
    found["host"][0] |= {"node": NASTY, "reason": NASTY, "suggestion": NASTY}
    found |= {"measure": NASTY, "calibrated_on": NASTY, "source": {"file": NASTY}}
    page = read(compile_page(found))
    assert "script" not in page.tags
    assert NASTY in page.text("summary")
    assert NASTY in page.text("h1")


def test_a_layer_takes_few_bytes(report: dict[str, Any]) -> None:
    size = len(compile_page(report).encode())
    assert size < 30_000 + 4_000 * len(report["layers"])
