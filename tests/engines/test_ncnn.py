"""What is particular to ncnn: two files, precision by switches, and files that kill."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import Network, OptionError, ProgramError, TensorSpec
from tests.engines.subjects import WEIGHT, expected_features, picture

pytest.importorskip("ncnn")

BIAS = np.array([0.5, -0.5, 0.25, 0], np.float32)
PARAM = """7767517
3 3
Input            image     0 1 image
BinaryOp         scale     1 1 image scaled 0=2 1=1 2=0.5
Convolution      conv      1 1 scaled features 0=4 1=3 4=1 5=1 6=108
"""
IMAGE = TensorSpec("image", (-1, 3, 8, 10), np.dtype("float32"), "nchw")
FEATURES = TensorSpec("features", (-1, 4, 8, 10), np.dtype("float32"))


def save(folder: Path, param: str = PARAM, weights: bytes | None = None) -> Network:
    """image · 0.5 → 3x3 convolution → features, in ncnn's files."""
    path = folder / "small.param"
    path.write_text(param)
    content = bytes(4) + WEIGHT.tobytes() + BIAS.tobytes() if weights is None else weights
    path.with_suffix(".bin").write_bytes(content)
    return Network(path, "ncnn", (IMAGE,), (FEATURES,), precision="fp32")


def expected(image: np.ndarray) -> np.ndarray:
    """The network written out, in float64."""
    return expected_features(image * np.float32(0.5)) + BIAS[:, None, None]


def prepared(network: Network, precision: str = "", **options: object) -> engines.Engine:
    engine = engines.create("n0", "ncnn", precision=precision, **options)
    engine.init()
    engine.prepare(network)
    return engine


def run(engine: engines.Engine, image: np.ndarray) -> np.ndarray:
    engine.set_tensor("image", image)
    engine.forward()
    return engine.get_tensor("features")


def test_runs_its_own_files(tmp_path: Path) -> None:
    with prepared(save(tmp_path)) as engine:
        np.testing.assert_allclose(run(engine, picture()), expected(picture()), atol=1e-5)
        assert engine.report()["precision"] == "fp32"
        assert engine.report()["threads"] == 1


def test_a_batch_is_its_images_one_by_one(tmp_path: Path) -> None:
    with prepared(save(tmp_path)) as engine:
        images = picture(batch=3)
        together = run(engine, images)
        alone = np.concatenate([run(engine, images[n : n + 1]) for n in range(3)])
        assert together.tobytes() == alone.tobytes()


def test_the_input_stays_as_it_was_and_need_not_outlive_the_call(tmp_path: Path) -> None:
    """The first layer works in place: in ncnn's memory, not in the caller's."""
    with prepared(save(tmp_path)) as engine:
        image = picture()
        kept = image.copy()
        first = run(engine, image)
        assert image.tobytes() == kept.tobytes()
        engine.set_tensor("image", image[:, :, ::-1])  # only the engine holds this one
        engine.forward()
        assert run(engine, image).tobytes() == first.tobytes()


@pytest.mark.parametrize(("precision", "low", "high"), [("fp32", 0, 2e-6), ("bf16", 1e-4, 5e-2)])
def test_precision_is_what_was_asked_for(
    tmp_path: Path, precision: str, low: float, high: float
) -> None:
    with prepared(save(tmp_path), precision) as engine:
        error = np.abs(run(engine, picture()) - expected(picture())).max()
        assert low <= error <= high
        assert engine.report()["precision"] == precision


def test_half_precision_is_refused_where_it_would_be_half_true(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"precision fp16 .* fp32 or bf16 only"):
        prepared(save(tmp_path), "fp16")


def test_engines_of_one_file_share_its_weights(tmp_path: Path) -> None:
    network = save(tmp_path)
    with prepared(network) as one, prepared(network) as two:
        assert one._net is two._net
        with prepared(network, threads=2) as three:
            assert one._net is not three._net


def test_names_that_are_not_in_the_file_go_by_position(tmp_path: Path) -> None:
    network = save(tmp_path, PARAM.replace("1 image\n", "1 in0\n").replace("1 image s", "1 in0 s"))
    with prepared(network) as engine:
        np.testing.assert_allclose(run(engine, picture()), expected(picture()), atol=1e-5)


def test_what_layers_read_is_no_output(tmp_path: Path) -> None:
    """ncnn has given its memory back by then."""
    inside = TensorSpec("scaled", (-1, 3, 8, 10), np.dtype("float32"))
    with pytest.raises(ProgramError, match=r"expected .*scaled.*found features"):
        prepared(replace(save(tmp_path), outputs=(FEATURES, inside)))


def test_needs_declared_tensors(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="declared"):
        prepared(replace(save(tmp_path), outputs=()))


def test_a_declared_shape_that_is_not_the_real_one(tmp_path: Path) -> None:
    wrong = replace(FEATURES, shape=(-1, 8, 4, 10))
    with pytest.raises(ProgramError, match=re.escape("found [1, 4, 8, 10]")):
        prepared(replace(save(tmp_path), outputs=(wrong,)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("7767517", "7767518", "expected 7767517"),
        ("3 3", "4 3", "truncated"),
        ("Convolution ", "Convolutio", "no layer 'Convolutio'"),
        ("0=4 1=3", "0=4 nonsense", "line 5: expected a layer"),
        ("1 1 scaled", "1 1 skaled", r"line 5: reads \['skaled'\]"),
        ("7767517\n3 3\n", "", "expected 7767517"),
    ],
)
def test_a_damaged_param_says_where(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert PARAM.count(old) == 1
    network = save(tmp_path, PARAM.replace(old, new))
    with pytest.raises(ProgramError, match=told):
        prepared(network)


@pytest.mark.parametrize("length", [0, 3, 100, len(PARAM) // 2, len(PARAM) - 30])
def test_a_truncated_param_is_refused(tmp_path: Path, length: int) -> None:
    network = save(tmp_path, PARAM[:length])
    with pytest.raises(ProgramError, match=re.escape(str(network.path.with_suffix("")))):
        prepared(network)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (b"", "cannot load it"),
        (bytes(4) + WEIGHT.tobytes(), "cannot load it"),
        (bytes(4) + WEIGHT.tobytes() + BIAS.tobytes() + bytes(64), "more weights"),
    ],
)
def test_weights_of_another_length(tmp_path: Path, weights: bytes, told: str) -> None:
    with pytest.raises(ProgramError, match=told):
        prepared(save(tmp_path, weights=weights))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    network = save(tmp_path)
    network.path.with_suffix(".bin").unlink()
    with pytest.raises(ProgramError, match=r"small\.bin: no such file"):
        prepared(network)


def test_a_network_that_kills_kills_another_process(tmp_path: Path) -> None:
    """A slice without the lengths of its parts, as pnnx writes them for some networks."""
    killer = "7767517\n2 4\nInput i 0 1 image\nSlice s 1 3 image features b c\n"
    with pytest.raises(ProgramError, match="kills the process"):
        prepared(save(tmp_path, killer, b""))


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_options_are_checked(threads: object) -> None:
    with pytest.raises(OptionError, match="threads: expected"):
        engines.create("n0", "ncnn", threads=threads)


@pytest.mark.assets
def test_runs_the_files_fastestdet_comes_with(assets: Path) -> None:
    folder = assets / "models" / "fastestdet"
    tensors = (
        (TensorSpec("input.1", (1, 3, 352, 352), np.dtype("float32"), "nchw"),),
        (TensorSpec("758", (1, 85, 22, 22), np.dtype("float32")),),
    )
    image = np.random.default_rng(0).uniform(size=(1, 3, 352, 352)).astype(np.float32)
    found = []
    for backend, form, name, precision in (
        ("onnxruntime", "onnx", "FastestDet.onnx", "fp32"),
        ("ncnn", "ncnn", "FastestDet.param", "fp16"),
    ):
        with engines.create("e", backend) as engine:
            engine.init()
            engine.prepare(Network(folder / name, form, *tensors, precision=precision))
            engine.set_tensor("input.1", image)
            engine.forward()
            found.append(engine.get_tensor("758"))
    assert np.abs(found[1] - found[0]).max() < 0.03 * np.abs(found[0]).max()
