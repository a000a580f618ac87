"""``sightline compile``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from engines.sim_npu import artefact
from tests.cli.conftest import Command, Package, Result
from tests.engines.sim_npu.compiler import drawn


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, most in (("pictures", 255), ("black", 2)):
        (tmp_path / name).mkdir()
        for index in range(3):
            image = random.integers(0, most, (24, 24, 3), np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{index}.png"), image)
    (tmp_path / "wall").mkdir()
    slope = np.repeat(np.linspace(90, 120, 64).astype(np.uint8)[None], 36, axis=0)
    cv2.imwrite(str(tmp_path / "wall" / "a.png"), np.stack([slope] * 3, axis=-1))
    (tmp_path / "empty").mkdir()


@pytest.fixture(autouse=True)
def network(tmp_path: Path) -> Path:
    drawing = drawn.Drawing(2, image=(1, 3, 24, 24))
    for name in ("conv", "silu", "conv"):
        getattr(drawing, name)()
    drawing.add("Softmax", drawing.last, axis=1)
    onnx.save(drawing.model(), tmp_path / "net.onnx")
    (tmp_path / "broken.onnx").write_bytes((tmp_path / "net.onnx").read_bytes()[:90])
    (tmp_path / "net.tflite").write_bytes(b"none")
    return tmp_path / "net.onnx"


def _compile(
    sightline: Command, options: str, model: str = "net.onnx", calibration: str = "pictures"
) -> Result:
    return sightline("compile", model, "--calibration", calibration, *options.split())


def test_what_was_tried_and_what_came_of_it_is_shown(sightline: Command, tmp_path: Path) -> None:
    result = _compile(sightline, "-o out/net.slnpu")
    assert result.code == 0, result.err
    assert result.err == ""  # no progress where there is no terminal
    for words in (
        "calibrated on 3 pictures of pictures",
        "BGR 0..255, stretched, as there is no manifest",
        "quality: cosine of the worst output, against the source network",
        "entropy, weights by layer",
        "Softmax",
        "the device has no such operator",
        "export the logits; the softmax belongs to decoding",
        "3 layers on the device, 1 nodes on the host; 3 cuts",
        "1 times quantised and 1 back",
        "ms on one core of hi3559a-nnie",
        "report: out/net.html",
        "compiled: out/net.slnpu keeps 9",
    ):
        assert words in result.out
    assert artefact.read(tmp_path / "out" / "net.slnpu").profile == "hi3559a-nnie"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["net.html", "net.slnpu"]


def test_json_has_the_report(sightline: Command) -> None:
    result = _compile(sightline, "--method entropy --per-tensor --rounding float "
                                 "--profile atlas500 --json")  # fmt: skip
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    assert facts["choice"] == {
        "method": "entropy", "per_channel": False, "rounding": "float", "keep_float": []
    }  # fmt: skip
    assert facts["profile"]["name"] == facts["network"]["target"] == "atlas500"
    kept = json.loads(Path(facts["path"]).with_name("report.json").read_text())
    assert facts == kept | {"path": facts["path"], "page": facts["page"]}
    assert Path(facts["page"]).read_text().startswith("<!doctype html>")


def test_not_good_enough_ends_with_1(sightline: Command, tmp_path: Path) -> None:
    options = "--method min-max --per-channel --min-quality 1 -o net.slnpu"
    result = _compile(sightline, options)
    assert result.code == 1
    assert "100.0% is asked for; left in net.rejected.slnpu" in result.err
    assert not (tmp_path / "net.slnpu").exists()


@pytest.mark.parametrize(
    ("model", "calibration", "options", "words"),
    [
        ("net.onnx", "empty", "", "empty: no image in this folder; expected .bmp"),
        ("net.onnx", "black", "", "black: all 3 are black; ranges cannot be told from that"),
        ("net.onnx", "none.mp4", "", "none.mp4: there is no such file"),
        ("net.onnx", "net.onnx", "", "net.onnx: cannot be opened"),
        ("broken.onnx", "pictures", "", "broken.onnx"),
        ("net.tflite", "pictures", "", "compiled is ONNX, and it is tflite; start from"),
        ("no-such", "pictures", "", "no model 'no-such'"),
        ("hog-people", "pictures", "", "is built into an engine"),
        ("net.onnx", "pictures", "--target vpu", "--target: expected sim-npu, got 'vpu'"),
        ("net.onnx", "pictures", "--method max", "--method: expected auto or min-max or"),
        ("net.onnx", "pictures", "--profile tpu", "profile: expected one of"),
        ("net.onnx", "pictures", "--size 9", "--size: expected WIDTHxHEIGHT"),
        ("net.onnx", "pictures", "--size 9x9", "--size: the network takes 24x24 only"),
        ("net.onnx", "pictures", "-o out", "expected a file NAME.slnpu"),
        ("net.onnx", "pictures", "--keep-float nose", "the network has no layer nose"),
        ("street-pico", "pictures", "--classes cat", "the model knows no 'cat'"),
        ("street-pico", "wall", "", "judged on the same: the network finds nothing there"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    sightline: Command, model: str, calibration: str, options: str, words: str
) -> None:
    result = _compile(sightline, options, model, calibration)
    assert result.code in (1, 2)
    assert words in result.err.replace("\n", " ")
    assert "Traceback" not in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_a_network_the_device_cannot_run_is_told_operator_by_operator(
    sightline: Command, package: Callable[[float], Package]
) -> None:
    result = sightline("compile", package(0.6), "--calibration", "pictures")
    assert result.code in (1, 2)
    first, *reasons = result.err.strip().splitlines()
    assert first.endswith("tiny.onnx: no layer of it can run on the device:")
    assert any(reason.strip().startswith("ReduceMean") for reason in reasons)
    assert any("export it as GlobalAveragePool" in reason for reason in reasons)
