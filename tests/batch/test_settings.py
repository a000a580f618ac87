"""A configuration as a batch takes it, and the fingerprint of what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.batch.fingerprint import differences, fingerprint
from pipeline.batch.settings import load
from pipeline.builder import build
from pipeline.errors import ConfigError
from pipeline.queues import OnFull
from tests.batch.archive import configure


@pytest.fixture
def config(tmp_path: Path, spotter: Path) -> Path:
    return configure(tmp_path / "street.yaml", spotter)


def test_cameras_outputs_and_http_may_be_missing_or_wrong(config: Path, spotter: Path) -> None:
    configure(
        config,
        spotter,
        cameras=[{"id": "gate", "uri": "rtsp://me:${NOT_SET}@gate", "max_fps": -1}],
        outputs=[{"udp": {"to": "nowhere"}}],
        http={"bind": "0.0.0.0:80"},
        run={"shards": 3},
    )
    loaded = load(config)
    assert [camera.id for camera in loaded.cameras] == ["clip"]
    assert (loaded.outputs, loaded.http, loaded.run.shards) == ((), None, 1)


def test_all_else_is_checked_and_located(config: Path, spotter: Path) -> None:
    configure(config, spotter, engines={"cpu0": {"backend": "onnxruntim"}}, batch={"every": 0})
    with pytest.raises(ConfigError) as caught:
        load(config)
    assert f"{config}:" in str(caught.value)
    assert "engines.cpu0.backend: there is no backend 'onnxruntim'" in str(caught.value)
    assert "batch.every: expected at least 1, found 0" in str(caught.value)


def test_no_stage_drops_frames_or_goes_on_where_a_run_ended(config: Path) -> None:
    changes = ("stages.detect.on_full=drop_oldest", "stages.track.state=kept")
    stages = load(config, changes).stages
    assert stages["detect"].on_full is OnFull.BLOCK
    assert stages["track"].model_dump()["state"] is None


def mark(config: Path, *changes: str) -> dict[str, object]:
    loaded = load(config, changes)
    return fingerprint(loaded, build(loaded))


def test_what_only_makes_it_faster_changes_nothing(config: Path) -> None:
    haste = ("stages.detect.workers=3", "run.queue=2", "batch.segment_s=9", "batch.parquet=true")
    assert mark(config, *haste) == mark(config)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("stages.postprocess.score=0.4", "configuration.stages.postprocess.score: 0.3, now 0.4"),
        ("batch.every=2", "configuration.batch.every: 1, now 2"),
        ("engines.cpu0.device=cuda", 'configuration.engines.cpu0.device: "cpu", now "cuda"'),
    ],
)
def test_what_changes_results_is_told_by_its_key(config: Path, change: str, told: str) -> None:
    cpu = "engines.cpu0.backend=onnxruntime"
    assert told in differences(mark(config, cpu), mark(config, cpu, change))


def test_another_model_is_told_by_its_file(config: Path, light_meter: Path) -> None:
    changed = differences(mark(config), mark(config, f"stages.detect.model={light_meter}"))
    assert any(line.startswith("models.light-meter.network.onnx: none, now") for line in changed)
