"""What is particular to MNN: sessions, layouts, what it prints, and that it calls nobody."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import Network, OptionError, ProgramError, TensorSpec
from tests.engines.subjects import WEIGHT, expected_features, picture

pytest.importorskip("MNN")

IMAGE = TensorSpec("image", (1, 3, 8, 10), np.dtype("float32"), "nchw")
FEATURES = TensorSpec("features", (1, 4, 8, 10), np.dtype("float32"))


def save(folder: Path, packed: bool = False, channels_last: bool = False) -> Network:
    """image → 3x3 convolution → features, written by MNN itself.

    Args:
        folder: that the file goes to.
        packed: whether input and output are in MNN's layout of four channels at a time.
        channels_last: whether the input is NHWC.
    """
    from MNN import expr

    layout = expr.NC4HW4 if packed else expr.NHWC if channels_last else expr.NCHW
    image = expr.placeholder([1, 8, 10, 3] if channels_last else [1, 3, 8, 10], layout)
    image.name = "image"
    features = expr.conv2d(
        image if packed else expr.convert(image, expr.NC4HW4),
        expr.const(WEIGHT, [4, 3, 3, 3], expr.NCHW),
        expr.const(np.zeros(4, np.float32), [4], expr.NCHW),
        padding=[1, 1],
        padding_mode=expr.Padding_Mode.CAFFE,
    )
    features = features if packed else expr.convert(features, expr.NCHW)
    features.name = "features"
    path = folder / "small.mnn"
    expr.save([features], str(path))
    return Network(path, "mnn", (IMAGE,), (FEATURES,), precision="fp32")


def prepared(network: Network, precision: str = "", **options: object) -> engines.Engine:
    engine = engines.create("m0", "mnn", precision=precision, **options)
    engine.init()
    engine.prepare(network)
    return engine


def run(engine: engines.Engine, image: np.ndarray) -> np.ndarray:
    engine.set_tensor("image", image)
    engine.forward()
    return engine.get_tensor("features")


@pytest.mark.parametrize("packed", [False, True])
def test_runs_in_plain_and_in_packed_layout(tmp_path: Path, packed: bool) -> None:
    with prepared(save(tmp_path, packed)) as engine:
        np.testing.assert_allclose(run(engine, picture()), expected_features(picture()), atol=1e-5)
        assert engine.report()["precision"] == "fp32"
        assert engine.report()["threads"] == 1


def test_channels_last(tmp_path: Path) -> None:
    image = replace(IMAGE, shape=(1, 8, 10, 3), layout="nhwc")
    with prepared(replace(save(tmp_path, channels_last=True), inputs=(image,))) as engine:
        found = run(engine, np.ascontiguousarray(picture().transpose(0, 2, 3, 1)))
        np.testing.assert_allclose(found, expected_features(picture()), atol=1e-5)


def test_a_batch_is_its_images_one_by_one(tmp_path: Path) -> None:
    free = [replace(spec, shape=(-1, *spec.shape[1:])) for spec in (IMAGE, FEATURES)]
    network = replace(save(tmp_path), inputs=(free[0],), outputs=(free[1],))
    with prepared(network) as engine:
        images = picture(batch=3)
        together = run(engine, images)
        alone = np.concatenate([run(engine, images[n : n + 1]) for n in range(3)])
        assert together.tobytes() == alone.tobytes()
        np.testing.assert_allclose(together, expected_features(images), atol=1e-5)


def test_open_height_and_width(tmp_path: Path) -> None:
    free = [replace(spec, shape=(1, spec.shape[1], -1, -1)) for spec in (IMAGE, FEATURES)]
    with prepared(replace(save(tmp_path), inputs=(free[0],), outputs=(free[1],))) as engine:
        for size in ((8, 10), (16, 6), (8, 10)):
            image = np.random.default_rng(0).normal(size=(1, 3, *size)).astype(np.float32)
            np.testing.assert_allclose(run(engine, image), expected_features(image), atol=1e-5)


def test_results_do_not_change_afterwards(tmp_path: Path) -> None:
    with prepared(save(tmp_path)) as engine:
        first = run(engine, picture(0))
        kept = first.copy()
        run(engine, picture(1))
    assert first.tobytes() == kept.tobytes()


def test_a_single_tensor_may_have_another_name_in_the_file(tmp_path: Path) -> None:
    other = replace(FEATURES, name="output")
    with prepared(replace(save(tmp_path), outputs=(other,))) as engine:
        engine.set_tensor("image", picture())
        engine.forward()
        np.testing.assert_allclose(
            engine.get_tensor("output"), expected_features(picture()), atol=1e-5
        )


def test_missing_outputs_are_named(tmp_path: Path) -> None:
    other = replace(FEATURES, name="boxes")
    with pytest.raises(ProgramError, match=r"no output boxes; there are \['features'\]"):
        prepared(replace(save(tmp_path), outputs=(FEATURES, other)))


@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
def test_nothing_is_lowered(tmp_path: Path, precision: str) -> None:
    """On x86 MNN takes the wish and ignores it: saying yes would be wrong."""
    with pytest.raises(ProgramError, match=rf"precision {precision} is asked for"):
        prepared(save(tmp_path), precision)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    network = save(tmp_path)
    good = network.path.read_bytes()
    random = np.random.default_rng(0)
    damaged = [b"", random.bytes(4096), b"7767517\n3 3\n" * 40]
    damaged += [good[: int(n)] for n in random.integers(1, len(good), 20)]
    for content in damaged:
        network.path.write_bytes(content)
        with pytest.raises(ProgramError, match=re.escape(f"{network.path} ({len(content)} bytes)")):
            prepared(network)


def test_says_nothing_on_stdout_and_opens_no_socket(tmp_path: Path) -> None:
    """In a process of its own, where the first import of MNN happens."""
    path = save(tmp_path).path
    script = f"""
import sys
sys.addaudithook(lambda event, _: sys.exit(event) if event.startswith("socket") else None)
import engines
with engines.create("m0", "mnn") as engine:
    engine.init()
    engine.prepare(engines.Network(__import__("pathlib").Path({str(path)!r}), "mnn"))
assert not [name for name in sys.modules if name.startswith("MNN.tools")]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_options_are_checked(threads: object) -> None:
    with pytest.raises(OptionError, match="threads: expected"):
        engines.create("m0", "mnn", threads=threads)
