"""Converting a model: compared, put down whole, found again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import engines
from engines import Network, TensorSpec
from pipeline.errors import ModelError, SourceError
from pipeline.models import conversion, load_model
from pipeline.models.comparison import Difference, differences
from pipeline.models.conversion import convert_model
from pipeline.models.converted import converted_folder, find_converted, identity
from pipeline.models.manifest import PreprocessSpec
from pipeline.models.samples import APART, PICTURES, samples
from tests.engines.convert.caffe.caffe_files import save
from tests.models.conftest import Package

TEXT = (
    'input: "data"\ninput_shape { dim: 1 dim: 3 dim: 16 dim: 24 }\n'
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"\n'
    "  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }\n"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIGHTLINE_CACHE", str(folder))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Network:
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 1, shape).astype(np.float32) for shape in ((4, 3, 3, 3), (4,))]
    return save(tmp_path, TEXT, {"conv": weights})


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A converter that gets the weights wrong: it converts another network."""

    def convert(source: Network, target: str, folder: Path, precision: str) -> Network:
        other = folder / "other"
        other.mkdir()
        weights = [np.ones((4, 3, 3, 3), np.float32), np.zeros(4, np.float32)]
        made = engines.convert.convert(save(other, TEXT, {"conv": weights}), target, folder)
        for path in other.iterdir():
            path.unlink()
        other.rmdir()
        return made

    monkeypatch.setattr(conversion, "convert", convert)


def test_a_converted_network_is_compared_and_found(source: Network, cache: Path) -> None:
    made = convert_model(source, "onnx")
    assert made.comparison.equal
    assert made.folder == cache / "converted" / identity(source) / "onnx-fp32"
    assert sorted(path.name for path in made.folder.iterdir()) == ["net.onnx", "report.json"]
    report = json.loads((made.folder / "report.json").read_text())
    assert report["verdict"] == "equal"
    assert report["engines"]["source"].startswith("opencv ")
    assert report["engines"]["network"].startswith("onnxruntime ")
    assert report["compared_on"].startswith(f"{PICTURES} pictures of the shipped sample video")
    [output] = report["outputs"]
    assert (output["name"], output["shape"], output["within"]) == ("conv", [1, 4, 16, 24], True)
    assert output["max_abs"] <= output["allowed"] == pytest.approx(1e-3 * output["largest"])
    assert output["cosine"] == pytest.approx(1)
    [found] = find_converted(identity(source))
    assert (found.path, found.format, found.precision) == (made.network.path, "onnx", "fp32")


def test_other_weights_are_another_network(source: Network) -> None:
    """A .prototxt alone does not tell two trainings apart."""
    before = identity(source)
    convert_model(source, "onnx")
    path = source.path.with_suffix(".caffemodel")
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\x80?")
    assert identity(source) != before
    assert find_converted(identity(source)) == ()


def test_a_network_that_differs_is_kept_where_nobody_finds_it(source: Network, wrong: None) -> None:
    made = convert_model(source, "onnx")
    assert not made.comparison.equal
    assert made.folder == converted_folder(identity(source)) / "rejected" / "onnx-fp32"
    assert json.loads((made.folder / "report.json").read_text())["verdict"] == "differs"
    assert find_converted(identity(source)) == ()


def test_it_is_compared_on_the_given_pictures(source: Network, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(2 * APART):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((30, 40, 3), index, np.uint8))
    assert (
        convert_model(source, "onnx", pictures=str(folder))
        .report["compared_on"]
        .startswith(f"2 pictures of {folder}")
    )
    one = str(folder / "3.png")
    again = convert_model(source, "onnx", pictures=one)  # replaces the one before
    assert again.report["compared_on"].startswith(f"1 pictures of {one}")
    with pytest.raises(SourceError, match="no such file"):
        convert_model(source, "onnx", pictures=str(tmp_path / "none.mp4"))


def test_nothing_is_left_of_a_conversion_that_fails(source: Network, cache: Path) -> None:
    source.path.write_text(TEXT.replace("Convolution", "Winding"))
    with pytest.raises(engines.ProgramError, match="type Winding cannot be converted"):
        convert_model(source, "onnx")
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_two_at_once_leave_one_whole_network(source: Network) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: convert_model(source, "onnx"), range(4)))
    assert {one.folder for one in made} == {made[0].folder}
    [found] = find_converted(identity(source))
    assert found.path == made[0].network.path
    assert [path.name for path in made[0].folder.parent.iterdir() if path.is_dir()] == ["onnx-fp32"]


@pytest.mark.parametrize("damage", ["network", "report", "listed"])
def test_a_damaged_conversion_is_refused_with_the_remedy(source: Network, damage: str) -> None:
    made = convert_model(source, "onnx")
    report = made.folder / "report.json"
    if damage == "network":
        made.network.path.write_bytes(b"changed")
    elif damage == "report":
        report.write_text("{}")
    else:
        facts = json.loads(report.read_text())
        facts["network"]["files"] = {}
        report.write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=rf"remove {made.folder} and convert again"):
        find_converted(identity(source))


def test_a_folder_of_the_users_is_not_overwritten(source: Network, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    made = convert_model(source, "onnx", folder=folder)
    assert made.folder == folder
    assert convert_model(
        source, "onnx", folder=folder
    ).comparison.equal  # an earlier conversion may go
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-grandma.txt").write_text("dear")
    with pytest.raises(ModelError, match="there is something else already"):
        convert_model(source, "onnx", folder=tmp_path / "letters")
    assert find_converted(identity(source)) == ()


def test_what_need_not_or_must_not_be_converted_is_refused(
    source: Network, package: Package
) -> None:
    network = Network(package.weights, "onnx")
    with pytest.raises(ModelError, match="it is onnx already; it can be converted to torchscript"):
        convert_model(network, "onnx")
    with pytest.raises(ModelError, match="sealed"):
        convert_model(replace(source, content=b"secret"), "onnx")


def test_a_models_own_preprocessing_is_used_and_its_variant_loaded(package: Package) -> None:
    pytest.importorskip("openvino")
    model = load_model(package.path)
    assert isinstance(model.program, Network)
    made = convert_model(model.program, "openvino", preprocess=model.manifest.preprocess)
    assert made.report["compared_on"].endswith("day.mp4")  # and not "as there is no manifest"
    variants = load_model(package.path).variants
    assert [variant.format for variant in variants if isinstance(variant, Network)] == [
        "onnx",
        "openvino",
    ]
    assert variants[1].inputs == model.program.inputs


# ------------------------------------------------------------------ what is compared, and how


def _spec(*shape: int, dtype: str = "float32", layout: str = "") -> TensorSpec:
    return TensorSpec("x", shape, np.dtype(dtype), layout)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (_spec(1, 3, 16, 24), (1, 3, 16, 24)),
        (_spec(1, 16, 24, 3), (1, 16, 24, 3)),
        (_spec(-1, 3, -1, -1), (1, 3, 320, 320)),
        (_spec(4, 3, 16, 24, dtype="uint8"), (4, 3, 16, 24)),
    ],
)
def test_a_picture_goes_into_what_takes_one(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    given = samples([spec], None, None)
    assert [run["x"].shape for run in given.inputs] == [shape] * PICTURES
    assert {run["x"].dtype for run in given.inputs} == {spec.dtype}
    assert len({run["x"].tobytes() for run in given.inputs}) == PICTURES


def test_a_manifest_says_how(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), np.full((8, 8, 3), (0, 0, 255), np.uint8))
    spec = PreprocessSpec(color="rgb", scale=1 / 255)
    [run] = samples([_spec(1, 3, 4, 4)], spec, str(path)).inputs
    np.testing.assert_array_equal(run["x"][0, :, 0, 0], [1, 0, 0])


def test_an_input_that_is_no_picture_gets_the_same_noise_every_time() -> None:
    spec = _spec(5, 112, 6, 6)
    first, second = samples([spec], None, None), samples([spec], None, None)
    assert first.told == "noise (seed 0): no input is a picture"
    for a, b in zip(first.inputs, second.inputs, strict=True):
        np.testing.assert_array_equal(a["x"], b["x"])
    with pytest.raises(ModelError, match="takes no picture"):
        samples([spec], None, "street.mp4")


def _only(a: object, b: object, tolerance: float = 1e-3) -> Difference:
    [found] = differences(
        [{"y": np.asarray(a, np.float32)}], [{"y": np.asarray(b, np.float32)}], tolerance
    )
    return found


def test_a_difference_is_told_in_three_ways() -> None:
    found = _only([3.0, -4.0], [3.0, -3.0], 0.2)
    assert (found.largest, found.max_abs, found.mean_abs, found.allowed) == (4, 1, 0.5, 0.8)
    assert found.cosine == pytest.approx(21 / (5 * 18**0.5))
    assert not found.within
    assert _only([3.0, -4.0], [3.0, -3.5], 0.2).within


@pytest.mark.parametrize(
    ("a", "b", "within"),
    [
        ([0.0, 0.0], [0.0, 0.0], True),
        ([0.0, 0.0], [0.0, 1e-9], False),
        ([1.0, 2.0], [1.0, np.nan], False),
        ([np.inf], [np.inf], False),
        ([1.0, 2.0], [[1.0, 2.0]], False),
    ],
)
def test_what_cannot_be_compared_is_not_equal(a: object, b: object, within: bool) -> None:
    assert _only(a, b).within is within
