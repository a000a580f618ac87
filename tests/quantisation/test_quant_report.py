"""Two bindings of the shipped models over a shipped clip, scored from tensors to tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

import engines.registry
import pipeline
from pipeline.errors import DataError, GraphError
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.mot_files import read_mot
from pipeline.models.subject import subject
from pipeline.quantisation.compilation import Wishes, compile_model
from pipeline.quantisation.inputs import Request
from pipeline.quantisation.quant_report import QuantReport, quant_report
from pipeline.quantisation.sides import Scoring
from pipeline.quantisation.truth import FileTruth
from pipeline.resources import shipped
from pipeline.serial import run_serially
from tests.engines.faulty import order

DAY = shipped("sample_videos") / "day"
FRAMES = 30
CONFIG = f"""
cameras: [{{id: street, uri: "{DAY}.mp4", end_s: {FRAMES / 25}}}]
engines:
  cpu0: {{backend: onnxruntime, threads: 1}}
stages:
  detect: {{model: street-pico, engine: cpu0}}
  track: {{measured_share: 0.8}}
"""


def config(*changes: str) -> pipeline.config.PipelineConfig:
    return pipeline.loads(CONFIG, overrides=changes)


def report(*changes: str, scoring: Scoring | None = None, frames: int | None = None) -> QuantReport:
    scoring = scoring or Scoring({"street": FileTruth(DAY)})
    return quant_report(config(), config(*changes), scoring, frames)


def figures(found: QuantReport) -> dict[str, tuple[float, float]]:
    return {figure.name: (figure.reference, figure.candidate) for figure in found.figures}


class Pictures(CalibrationDataReader):
    """What the detector is given of a few frames."""

    def __init__(self, count: int) -> None:
        with run_serially(pipeline.build(config(f"cameras[0].end_s={count / 25}"))) as run:
            self._given = iter([step["preprocess"][0].payload.tensor for step in run])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        tensor = next(self._given, None)
        return None if tensor is None else {"images": tensor}


def by_onnxruntime(folder: Path) -> list[str]:
    """The shipped detector in eight bits, as ONNX Runtime's own tool makes it."""
    path = folder / "street-pico.onnx"
    source = shipped("models") / "street-pico" / "street-pico.onnx"
    quantize_static(source, path, Pictures(3), quant_format=QuantFormat.QDQ, per_channel=True)
    return [f"stages.detect.weights={path}"]


def by_our_compiler(folder: Path) -> list[str]:
    """The same for the simulated device."""
    request, wishes = Request(f"{DAY}.mp4", 4), Wishes("percentile", per_channel=True)
    path = folder / "street-pico.slnpu"
    compile_model(subject("street-pico"), "hi3559a-nnie", request, wishes, path)
    return ["engines.cpu0={backend: sim-npu}", f"stages.detect.weights={path}"]


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of what the backend `faulty` is to do wrong."""
    monkeypatch.setitem(engines.registry.BUILT_IN, "faulty", "tests.engines.faulty:FaultyEngine")
    return tmp_path / "orders"


def test_the_same_binding_costs_nothing() -> None:
    found = report(frames=8)
    assert found.frames == 8
    assert found.truths == {"street": str(DAY / "gt" / "gt.txt")}
    assert [figure.name for figure in found.figures] == [
        "AP50", "AP50-95", "agreement", "HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW",
    ]  # fmt: skip
    assert all(figure.drop == 0 for figure in found.figures if figure.name != "agreement")
    assert figures(found)["agreement"][1] == pytest.approx(1)
    error = found.tensors["detect", "output"]
    assert (error.runs, error.relative, error.cosine) == (8, 0, 1)
    assert found.reference == found.candidate
    assert found.to_json()["tensors"][0]["snr_db"] is None  # infinite


def test_the_figures_are_those_of_a_run_that_is_evaluated(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    changes = f"outputs=[{{file: {{path: {path}, format: mot}}}}]", "cameras[0].end_s=0.6"
    short, truth = config(*changes), FileTruth(DAY)
    assert pipeline.run(pipeline.build(short)).exit_code == 0
    expected = evaluate(truth.over(range(15)), read_mot(path)).summary()
    found = figures(quant_report(short, short, Scoring({"street": truth})))
    for name in ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW"):
        assert found[name][0] == pytest.approx(expected[name], abs=0.02)
    assert expected["HOTA"] > 50


@pytest.mark.parametrize("made", [by_onnxruntime, by_our_compiler])
def test_eight_bits_cost_something(made: Callable[[Path], list[str]], tmp_path: Path) -> None:
    found = report(*made(tmp_path), frames=12)
    error = found.tensors["detect", "output"]
    assert 0 < error.relative < 1
    assert 5 < error.snr_db < 60
    assert 0.9 < figures(found)["agreement"][1] < 1
    assert figures(found)["AP50-95"][1] != figures(found)["AP50-95"][0]
    assert [side.engines[0]["precision"] for side in (found.reference, found.candidate)] == [
        "fp32", "int8",
    ]  # fmt: skip
    told = found.candidate.engines[0]
    assert told["stage"] == "detect"
    assert (told.get("device_s", 0) > 0) == (told["backend"] == "sim-npu")


def test_frames_that_fail_are_told_and_cost(orders: Path) -> None:
    order(orders, "forward", "nan", after=3, times=2)
    faulty = [f"engines.f={{backend: faulty, orders: {orders}}}", "stages.detect.engine=f"]
    found = report(*faulty, frames=8)
    assert found.frames == 8
    assert found.reference.states == {}
    assert found.candidate.states == {"blind": 2}
    assert found.candidate.counts["detect: f failed"] == 1
    assert "not finite" in found.candidate.reasons["f"]
    assert found.tensors["detect", "output"].runs == 6
    whole, poorer = figures(found)["AP50"]
    assert poorer < whole * 7 / 8


def test_a_reid_network_is_judged_on_the_truth() -> None:
    change = "engines.cpu0={backend: openvino, precision: bf16}"
    found = report(change, scoring=Scoring({"street": FileTruth(DAY)}, reid="reid-pico"))
    assert 0.5 < figures(found)["rank-1"][0] <= 1
    assert 0.99 < figures(found)["cosine"][1] < 1
    stages = {engine["stage"]: engine["precision"] for engine in found.candidate.engines}
    assert stages == {"detect": "bf16", "embed of ground truth": "bf16"}


def test_the_reid_network_of_the_configuration_needs_no_naming() -> None:
    embed = config("stages.embed={model: reid-pico}")
    found = quant_report(embed, embed, Scoring({"street": FileTruth(DAY)}), 1)
    assert figures(found)["cosine"][1] == pytest.approx(1)
    assert isnan(figures(found)["rank-1"][0])  # nobody is seen again in one frame
    stages = [engine["stage"] for engine in found.candidate.engines]
    assert stages == ["detect", "embed of ground truth", "embed"]


def test_without_ground_truth_nothing_is_made_up() -> None:
    found = report(scoring=Scoring(reid="reid-pico"), frames=2)
    assert figures(found) == {"agreement": (1.0, pytest.approx(1))}


def test_ground_truth_of_other_frames_scores_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("900,1,10,10,20,40,1,1,1\n")
    found = report(scoring=Scoring({"street": FileTruth(path)}), frames=2)
    assert set(figures(found)) == {"agreement"}


def test_inputs_that_differ_say_nothing_of_the_network() -> None:
    found = report("stages.preprocess.fast=false", frames=2)
    assert found.tensors == {}
    assert "AP50" in figures(found)


def test_sides_that_see_something_else_are_refused() -> None:
    with pytest.raises(DataError, match="other cameras"):
        report("cameras[0].end_s=1")


def test_frames_that_are_left_at_the_entrance_are_not_missed() -> None:
    half, truth = config("cameras[0].every=2", "cameras[0].end_s=0.5"), FileTruth(DAY)
    found = quant_report(half, half, Scoring({"street": truth}))
    assert found.frames == 7  # of 13
    assert figures(found)["AP50"][0] > 0.8


@pytest.mark.parametrize("change", ["cameras[0].loop=true", "cameras[0].uri='rendered:day'"])
def test_a_camera_that_never_ends_needs_a_limit(change: str) -> None:
    endless = config(change, "cameras[0].end_s=null")
    with pytest.raises(DataError, match="'street' never ends"):
        quant_report(endless, endless, Scoring())


def test_a_live_camera_is_refused() -> None:
    live = config("cameras[0].uri=rtsp://10.0.0.5/stream", "cameras[0].end_s=null")
    with pytest.raises(GraphError, match="'street' is live"):
        quant_report(live, live, Scoring())


def test_a_detector_of_other_things_is_refused(light_meter: Path) -> None:
    other = config(f"stages.detect.model={light_meter}")
    with pytest.raises(DataError, match=r"none of the ground truth's classes .*\(light\)"):
        quant_report(other, other, Scoring({"street": FileTruth(DAY)}), 1)


def test_only_the_classes_that_are_asked_for_are_scored() -> None:
    motors, truth = config("stages.postprocess={classes: [car, van, bus]}"), FileTruth(DAY)
    found = quant_report(motors, motors, Scoring({"street": truth}), 8)
    rows = truth.over(range(8))
    scored = rows.take(rows.scores != 0)
    share = np.isin(scored.classes, [3, 4, 5]).mean()
    assert figures(found)["MOTA"][0] > 100 * share  # which is all it could be, were people missed


def test_cameras_are_scored_apart_and_summed_up() -> None:
    cameras = ", ".join(f"{{id: {name}, uri: '{DAY}.mp4'}}" for name in ("one", "other"))
    both, truth = config(f"cameras=[{cameras}]"), FileTruth(DAY)
    found = quant_report(both, both, Scoring({"one": truth, "other": truth}), 12)
    alone = quant_report(both, both, Scoring({"other": truth}), 12)
    assert found.frames == alone.frames == 12
    for name in ("HOTA", "MOTA", "IDF1"):
        assert figures(found)[name] == pytest.approx(figures(alone)[name])
    assert figures(found)["AP50"] == pytest.approx(figures(alone)["AP50"], abs=0.02)
    assert list(alone.truths) == ["other"]
