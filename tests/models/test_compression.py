"""Smaller networks: measured, judged, and put down whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import EngineError, Network, ProgramError
from engines.compress import factorise, prune
from engines.paired import Pair
from pipeline.errors import DataError, ModelError
from pipeline.models import compression, load_model
from pipeline.models.compression import Bound, Wish, compress, verdict
from pipeline.models.subject import Subject, subject

TENTH = Wish("prune", {"ratio": 0.1}, lambda *given: prune(*given, ratio=0.1), "it is thin")
HALF = Wish("prune", {"ratio": 0.5}, lambda *given: prune(*given, ratio=0.5), "it is thin")
FULL = Wish("factorise", {"energy": 0.999}, lambda *given: factorise(*given, energy=0.999), "two")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Two convolutions on a picture of 32x24."""
    chance = np.random.default_rng(0)
    weights = {
        "first": chance.normal(size=(32, 3, 3, 3)).astype(np.float32),
        "second": chance.normal(size=(8, 32, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["between"], "entry"),
        helper.make_node("Relu", ["between"], ["positive"]),
        helper.make_node("Conv", ["positive", "second"], ["found"], "exit"),
    ]
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 24, 32])
    found = helper.make_tensor_value_info("found", TensorProto.FLOAT, ["batch", 8, 20, 28])
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "two", [picture], [found], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "two.onnx")
    return tmp_path / "two.onnx"


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    folder, chance = tmp_path / "pictures", np.random.default_rng(1)
    folder.mkdir()
    for index in range(4):
        cv2.imwrite(str(folder / f"{index}.png"), chance.integers(0, 256, (30, 40, 3), np.uint8))
    return str(folder)


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"two.onnx", "pictures"}


def test_a_network_and_its_report(network: Path, pictures: str) -> None:
    out = network.parent / "made" / "thin.onnx"
    made = compress(subject(str(network)), HALF, out, pictures, seconds=0.0)
    assert made.path == out
    assert left_in(out.parent) == {"thin.onnx", "thin.report.json"}
    report = json.loads((out.parent / "thin.report.json").read_text())
    assert report == json.loads(json.dumps(made.report))
    first, second = report["layers"]
    assert (first["layer"], first["before"], first["after"]) == (
        "entry", [32, 3, 3, 3], [[16, 3, 3, 3]],
    )  # fmt: skip
    assert second["after"] == [[8, 16, 3, 3]]
    assert report["left"] == {"exit": "it makes the output found"}
    assert report["parameters"] == [32 * 27 + 8 * 288, 16 * 27 + 8 * 144]
    assert report["multiply_adds"][1] * 2 == report["multiply_adds"][0]
    assert report["bytes"] == [network.stat().st_size, out.stat().st_size]
    assert report["compared_on"].startswith(f"4 pictures of {pictures}")
    [output] = report["outputs"]
    assert output["name"] == "found"
    assert 0 < output["cosine"] < 1
    assert report["quality"]["value"] == pytest.approx(output["cosine"])
    time, bound = report["time"], report["bound"]
    assert time["low"] <= time["speedup"] <= time["high"]
    assert 0.5 < bound["share"] <= 1
    assert 1 < bound["by_multiply_adds"] <= 2
    assert bound["at_best"] is None or bound["at_best"] >= bound["by_multiply_adds"]


def test_the_new_network_takes_the_place_of_a_models_weights(tmp_path: Path) -> None:
    """The shipped ReID network, judged on crops of the sample video; the batch stays free."""
    out = tmp_path / "thin.onnx"
    made = compress(subject("reid-pico"), TENTH, out, seconds=0.0)
    assert "rank-1" in made.report["quality"]["figures"]
    assert 0.3 < made.report["quality"]["value"] < 1.01
    package = load_model("reid-pico", weights=out)
    assert package.own_weights
    with engines.create("thin", "onnxruntime") as engine:
        engine.init()
        engine.prepare(package.program)
        engine.set_tensor("crops", np.zeros((2, 3, 128, 64), np.float32))
        engine.forward()
        assert engine.get_tensor("embeddings").shape == (2, 128)


def test_nothing_is_written_where_nothing_gets_smaller(network: Path, pictures: str) -> None:
    made = compress(subject(str(network)), FULL, network.parent / "new.onnx", pictures)
    assert made.path is None
    assert made.report["verdict"] == "changes nothing"
    assert made.report["left"] == {"entry": "a kernel of 3x3", "exit": "a kernel of 3x3"}
    assert left_in(network.parent) == set()


def test_nothing_is_left_where_it_fails(
    network: Path, pictures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> Pair:
        raise EngineError("the machine is on fire")

    monkeypatch.setattr(compression.paired, "pair", fail)
    with pytest.raises(EngineError, match="on fire"):
        compress(subject(str(network)), HALF, network.parent / "new.onnx", pictures)
    assert left_in(network.parent) == set()


@pytest.mark.parametrize(
    ("out", "complaint"),
    [
        ("two.onnx", "this is the network to start from"),
        ("thin.tflite", r"expected a file NAME\.onnx"),
        ("pictures", r"expected a file NAME\.onnx"),
        ("two.onnx/thin.onnx", "cannot be written"),
    ],
)
def test_a_place_that_will_not_do_is_refused(
    network: Path, pictures: str, out: str, complaint: str
) -> None:
    before = network.read_bytes()
    with pytest.raises(ModelError, match=complaint):
        compress(subject(str(network)), HALF, network.parent / out, pictures, seconds=0.0)
    assert network.read_bytes() == before


def test_what_cannot_be_made_smaller_is_refused(network: Path, pictures: str) -> None:
    out, plain = network.parent / "new.onnx", Network(network, "onnx")
    for variant, complaint in (
        (replace(plain, format="tflite"), "made smaller is ONNX, and it is tflite; start from"),
        (replace(plain, format="torchscript"), "it is torchscript; convert it first: sightline"),
        (replace(plain, precision="int8"), "it is quantised; compress the network in fp32"),
        (replace(plain, content=b"secret"), "a sealed model is not made smaller"),
    ):
        with pytest.raises(ModelError, match=complaint):
            compress(Subject((variant,)), HALF, out, pictures)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x08\x12\x00"])
def test_what_is_no_network_is_refused(tmp_path: Path, pictures: str, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ProgramError, match=r"broken\.onnx"):
        compress(subject(str(path)), HALF, tmp_path / "new.onnx", pictures)


def test_a_network_without_layers_is_named(
    light_meter: Path, tmp_path: Path, pictures: str
) -> None:
    with pytest.raises(ProgramError, match=r"network\.onnx: it has no Conv, Gemm, MatMul"):
        compress(subject(str(light_meter)), HALF, tmp_path / "new.onnx", pictures)


def test_pictures_that_show_nothing_are_refused(network: Path) -> None:
    folder = network.parent / "black"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(DataError, match="black"):
        compress(subject(str(network)), HALF, network.parent / "new.onnx", str(folder))


@pytest.mark.parametrize(
    ("speed", "share", "kept", "words"),
    [
        ((1.31, 1.27, 1.35), 0.9, 0.97, "helps: 1.31x as fast (1.27 to 1.35), and keeps 0.970"),
        ((1.31, 1.27, 1.35), 0.9, 0.12, "does not help as it is: 1.31x as fast (1.27 to 1.35), b"),
        ((1.31, 1.27, 1.35), 0.02, 1.0, "does not help: what changed takes 2.0% of the time"),
        ((1.01, 0.98, 1.04), 0.9, 1.0, "does not help: 1.01x as fast (0.98 to 1.04) cannot be to"),
        ((0.9, 0.88, 0.93), 0.9, 1.0, "does not help: 0.90x as fast (0.88 to 0.93), as two small"),
    ],
)
def test_the_verdict_follows_the_numbers(
    speed: tuple[float, float, float], share: float, kept: float, words: str
) -> None:
    bound = Bound(share, 1 / (1 - share), 1.1)
    found = verdict(Pair(2.0, 1.0, *speed, 50), bound, kept, "two small layers cost")
    assert found.startswith(words)


def test_a_wide_layer_of_low_rank_is_worth_splitting(network: Path, pictures: str) -> None:
    chance = np.random.default_rng(0)
    model = onnx.load(network)
    weights = [chance.normal(size=shape) for shape in ((384, 3), (384, 8), (8, 384))]
    arrays = {"first": weights[0], "second": weights[1] @ weights[2]}
    del model.graph.initializer[:]
    for name, array in arrays.items():
        kernel = array.astype(np.float32)[:, :, None, None]
        model.graph.initializer.append(numpy_helper.from_array(kernel, name))
    found = helper.make_tensor_value_info("found", TensorProto.FLOAT, ["batch", 384, 24, 32])
    model.graph.output[0].CopyFrom(found)
    onnx.save(model, network)
    out = network.parent / "split.onnx"
    report = compress(subject(str(network)), FULL, out, pictures, seconds=0.0).report
    assert report["layers"][-1]["after"] == ((8, 384, 1, 1), (384, 8, 1, 1))
    assert report["verdict"].startswith("helps: ")
    assert report["quality"]["value"] > 0.999


@pytest.mark.assets
def test_a_real_network_split_in_two(assets: Path, tmp_path: Path) -> None:
    path = assets / "models/reid/osnet_x0_25_msmt17.onnx"
    out = tmp_path / "split.onnx"
    made = compress(subject("osnet-x0-25", path), FULL, out, seconds=0.0)
    assert made.report["layers"]
    assert made.report["quality"]["figures"]["cosine"] > 0.99
