"""The acceptance configurations, with a real network on real video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import engines

pytestmark = pytest.mark.assets

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "acceptance"
Command = Callable[..., Any]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "sequence", "scale", "mota", "idf1"),
    [
        ("yolox_nano_tud", "", "TUD-Stadtmitte", 1.0, 75, 75),
        ("yolox_nano_pets", "", "PETS09-S2L1", 0.625, 57, 50),
        ("d2go_tud", "fp32", "TUD-Stadtmitte", 1.0, 73, 75),
        ("d2go_tud", "int8qdq", "TUD-Stadtmitte", 1.0, 71, 75),
        ("d2go_pets", "fp32", "PETS09-S2L1", 0.625, 69, 50),
    ],
)
def test_the_scores_are_reached(
    name: str,
    kind: str,
    sequence: str,
    scale: float,
    mota: int,
    idf1: int,
    sightline: Command,
    assets: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGHTLINE_ASSETS", str(assets))
    monkeypatch.setenv("KIND", kind)
    run = sightline("run", CONFIGS / f"{name}.yaml", "--quiet")
    assert run.code == 0, run.err
    truth = assets / "tracking" / "MOT15" / sequence / "gt" / "gt.txt"
    scored = sightline(
        "eval", truth, "out/tracks.mot.txt", "--gt-scale", scale, "--benchmark", "MOT15",
        "--min", f"MOTA={mota}", "--min", f"IDF1={idf1}",
    )  # fmt: skip
    assert scored.code == 0, scored.err + scored.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "format_"),
    [
        ("openvino", ""),
        ("opencv", ""),
        ("ncnn", "ncnn"),
        ("mnn", "mnn"),
        ("litert", "tflite"),
        ("torch", "torchscript"),
    ],
)
def test_another_backend_by_one_word(
    backend: str,
    format_: str,
    sightline: Command,
    assets: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if why := engines.engine_class(backend).describe().missing:
        pytest.skip(f"{backend}: {why}")
    monkeypatch.setenv("SIGHTLINE_ASSETS", str(assets))
    monkeypatch.setenv("SIGHTLINE_CACHE", "cache")
    if format_:
        weights = assets / "models" / "yolox_nano" / "yolox_nano_opencv_zoo.onnx"
        command = ("models", "convert", "yolox-nano", "--weights", weights, "--to", format_)
        converted = sightline(*command)
        assert converted.code == 0, converted.err + converted.out
    frames, fps = 60, 25  # a third of the clip
    words = f"engines.det0.backend={backend}", f"cameras.tud.end_s={frames / fps}"
    changes = [argument for word in words for argument in ("--set", word)]
    run = sightline("run", CONFIGS / "yolox_nano_tud.yaml", "--quiet", *changes)
    assert run.code == 0, run.err
    truth = assets / "tracking" / "MOT15" / "TUD-Stadtmitte" / "gt" / "gt.txt"
    lines = truth.read_text().splitlines(keepends=True)
    Path("gt.txt").write_text("".join(a for a in lines if int(a.partition(",")[0]) <= frames))
    floor = 70.5 - 1.0  # ONNX Runtime reaches 70.5 there
    scored = sightline(
        "eval", "gt.txt", "out/tracks.mot.txt", "--benchmark", "MOT15", "--min", f"MOTA={floor}"
    )
    assert scored.code == 0, scored.err + scored.out


def test_the_same_file_gives_the_same_bytes_whatever_the_pace_and_the_workers(
    sightline: Command, assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_ASSETS", str(assets))
    outcomes = []
    for index, change in enumerate(
        [
            "stages.detect.workers=1",
            "stages.detect.workers=2",
            "cameras.tud.pace=realtime",
            "engines.det0.threads=2",
            "stages.detect.batch={max: 4, wait_ms: 50}",
        ]
    ):
        out = f"out/{index}"
        monkeypatch.setenv("OUT", out)
        config = CONFIGS / "yolox_nano_tud.yaml"
        run = sightline("run", config, "--quiet", "--set", "cameras.tud.end_s=0.8", "--set", change)
        assert run.code == 0, run.err
        outcomes.append(Path(out, "tracks.jsonl").read_bytes())
    assert b'"id":' in outcomes[0]
    assert len(set(outcomes)) == 1
