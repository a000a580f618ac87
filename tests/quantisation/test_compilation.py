"""Compiling a model: measured, put down whole, found again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import engines
from engines import Network, ProgramError, TensorError, border
from engines.sim_npu import artefact, profiles
from pipeline.errors import DataError, ModelError
from pipeline.models.converted import converted_folder, find_converted, identity
from pipeline.models.package import load_model
from pipeline.models.subject import Subject, subject
from pipeline.quantisation.compilation import Wishes, compile_model
from pipeline.quantisation.inputs import Request
from tests.engines.sim_npu.compiler import drawn

NNIE = "hi3559a-nnie"
ONE_WAY = Wishes("min-max", True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(6):
        cv2.imwrite(str(folder / f"{index}.png"), random.integers(0, 255, (24, 24, 3), np.uint8))
    return Request(str(folder))


def _network(path: Path, *layers: str) -> Subject:
    drawing = drawn.Drawing(2, image=(1, 3, 24, 24))
    drawing.weights["small"] = np.float32(1 / 255)
    drawing.add("Mul", "image", "small")
    for name in layers:
        getattr(drawing, name)()
    onnx.save(drawing.model(), path)
    return subject(str(path))


@pytest.fixture
def network(tmp_path: Path) -> Subject:
    return _network(tmp_path / "net.onnx", "conv", "silu", "conv", "relu", "conv")


def test_all_methods_are_measured_and_the_artefact_is_found(
    network: Subject, request_: Request
) -> None:
    made = compile_model(network, NNIE, request_, Wishes())
    assert made.passed
    assert len(made.trials) == 6
    place = converted_folder(identity(network.network)) / f"sim-npu-int8-{NNIE}"
    assert made.path == place / "net.slnpu"
    [found] = find_converted(identity(network.network))
    assert (found.path, found.format, found.precision, found.target) == (
        made.path, "sim-npu", "int8", NNIE
    )  # fmt: skip
    report = json.loads((place / "report.json").read_text())
    assert report == json.loads(json.dumps(made.report))
    assert report["verdict"] == "good enough"
    [value] = {t["quality"]["value"] for t in report["trials"] if t["choice"] == report["choice"]}
    assert report["quality"]["value"] == value > 0.99
    assert {one["layer"] for one in report["blame"]} >= {
        layer["name"] for layer in report["layers"]
    }
    assert report["calibrated_on"].startswith("6 pictures of ")
    # What was measured is what the artefact says of itself, but for the time of day.
    inside = artefact.read(made.path).report
    assert inside["trials"] == report["trials"]
    assert not {"when", "seconds", "versions", "inspection"} & inside.keys()
    assert len(report["inspection"]) >= 3


def test_the_same_inputs_give_the_same_bytes(
    network: Subject, request_: Request, tmp_path: Path
) -> None:
    paths = [tmp_path / name / "net.slnpu" for name in ("a", "b")]
    for path in paths:
        assert compile_model(network, NNIE, request_, Wishes(), path).path == path
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert find_converted(identity(network.network)) == ()


def test_a_spoilt_layer_stays_in_float(tmp_path: Path, request_: Request) -> None:
    network = _network(tmp_path / "net.onnx", *["conv", "relu"] * 4)
    model = onnx.load(network.network.path)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    spoilt, after = [node for node in model.graph.node if node.op_type == "Conv"][:2]
    # One channel a thousand times as large as the others, and taken back behind it.
    for name, axis, factor in (
        (spoilt.input[1], 0, 1000),
        (spoilt.input[2], 0, 1000),
        (after.input[1], 1, 0.001),
    ):
        array = numpy_helper.to_array(weights[name]).copy()
        np.moveaxis(array, axis, 0)[1] *= factor
        weights[name].CopyFrom(numpy_helper.from_array(array, name))
    onnx.save(model, network.network.path)
    made = compile_model(network, NNIE, request_, replace(ONE_WAY, min_quality=0.999))
    assert made.trials[0].quality.value < 0.999
    assert made.passed
    kept = made.report["choice"]["keep_float"]
    assert spoilt.output[0] in kept
    assert len(kept) <= 4
    assert set(kept) <= {one["node"] for one in made.report["host"]}


def test_what_is_not_good_enough_goes_where_no_model_finds_it(
    tmp_path: Path, request_: Request
) -> None:
    network = _network(tmp_path / "net.onnx", "conv", "silu", "conv")
    wishes = replace(ONE_WAY, min_quality=1.0)
    made = compile_model(network, NNIE, request_, wishes)
    assert not made.passed
    assert made.path.parent.parent.name == "rejected"
    assert made.path.is_file()
    assert find_converted(identity(network.network)) == ()
    out = tmp_path / "out" / "mine.slnpu"
    made = compile_model(network, NNIE, request_, wishes, out)
    assert made.path == out.with_name("mine.rejected.slnpu")
    assert not out.exists()


def test_a_quantised_network_is_taken_as_it_is(tmp_path: Path, request_: Request) -> None:
    pytest.importorskip("onnxruntime.quantization")
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            random = np.random.default_rng(1)
            self.left = [random.uniform(0, 255, (1, 3, 24, 24)).astype(np.float32)]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return {"image": self.left.pop()} if self.left else None

    plain = _network(tmp_path / "net.onnx", "conv", "relu", "conv")
    path = tmp_path / "qdq.onnx"
    quantize_static(
        plain.network.path, path, Reader(), QuantFormat.QDQ, op_types_to_quantize=["Conv"]
    )
    made = compile_model(subject(str(path)), NNIE, request_, Wishes(rounding="float"))
    [trial] = made.trials
    assert trial.told["method"] == "as given"
    assert trial.quality.value > 0.999  # of itself on ONNX Runtime
    assert made.passed


def test_a_device_in_half_precision(network: Subject, request_: Request) -> None:
    made = compile_model(network, "hi3559a-mali", request_, Wishes())
    [trial] = made.trials
    assert trial.quality.value > 0.999
    assert made.path.parent.name == "sim-npu-fp16-hi3559a-mali"
    assert made.report["blame"] == []


def test_a_network_without_a_layer_for_the_device_is_refused(
    mean_color: Path, request_: Request
) -> None:
    with pytest.raises(
        ProgramError, match=r"no layer of it can run on the device:\n  \w+ .*: .*; "
    ):
        compile_model(subject(str(mean_color)), NNIE, request_, ONE_WAY)


@pytest.mark.slow
def test_the_shipped_detector_keeps_its_quality_and_runs(tmp_path: Path) -> None:
    named = subject("street-pico")
    made = compile_model(named, NNIE, Request("rendered:day?seconds=1", frames=6), ONE_WAY)
    assert made.passed
    assert set(made.report["quality"]["figures"]) > {"AP", "AP of source"}
    engine = engines.create("npu0", "sim-npu", profile=NNIE)
    program = load_model("street-pico").program_for(engine)
    assert isinstance(program, Network)
    assert program.path == made.path
    with engine:
        engine.init()
        engine.prepare(program)
        border.give(engine, "images", np.zeros((1, 3, 288, 512), np.float32))
        engine.forward()
        assert border.take(engine, "output").shape == (1, 3024, 10)


@pytest.mark.slow
@pytest.mark.assets
def test_a_real_detector_keeps_its_quality(assets: Path) -> None:
    named = subject("yolox-nano", assets / "models" / "yolox_nano" / "yolox_nano_opencv_zoo.onnx")
    video = str(assets / "videos" / "PETS09-S2L1_vtest_480x360.avi")
    made = compile_model(named, NNIE, Request(video, frames=6), ONE_WAY)
    assert made.passed
    assert len(made.report["choice"]["keep_float"]) <= 20  # of 240
    assert made.report["attained"] > 0.1


def test_a_profile_of_ones_own(network: Subject, request_: Request, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    values = {f: getattr(profiles.find(NNIE), f) for f in profiles.Profile.__dataclass_fields__}
    mine.write_text(json.dumps(values | {"name": "mine"}))
    made = compile_model(network, str(mine), request_, ONE_WAY)
    assert made.path.parent.name == "sim-npu-int8-mine"
    mine.write_text(json.dumps(values | {"name": "../mine"}))
    with pytest.raises(ModelError, match=r"'\.\./mine': its name cannot be that of a folder"):
        compile_model(network, str(mine), request_, ONE_WAY)


def test_what_cannot_be_compiled(network: Subject, request_: Request, tmp_path: Path) -> None:
    source = network.network
    with pytest.raises(ModelError, match=r"compiled is ONNX, and it is tflite; start from"):
        compile_model(Subject((replace(source, format="tflite"),)), NNIE, request_, ONE_WAY)
    with pytest.raises(ModelError, match="a sealed model is not compiled"):
        compile_model(Subject((replace(source, content=b"x"),)), NNIE, request_, ONE_WAY)
    for out in (tmp_path, tmp_path / "net.onnx.bin"):
        with pytest.raises(ModelError, match=r"expected a file NAME\.slnpu"):
            compile_model(network, NNIE, request_, ONE_WAY, out)
    wishes = replace(ONE_WAY, keep_float=frozenset(["nose"]))
    with pytest.raises(ProgramError, match="keep_float: the network has no layer nose"):
        compile_model(network, NNIE, request_, wishes)
    recorded = tmp_path / "a.npz"
    np.savez(recorded, image=np.full((1, 3, 24, 24), np.nan, np.float32))
    with pytest.raises((TensorError, DataError)):
        compile_model(network, NNIE, Request(str(recorded)), ONE_WAY)
