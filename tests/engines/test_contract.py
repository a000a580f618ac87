"""One contract for every backend: order, names, shapes, types, threads, damaged files.

Each test belongs to a column of the table in docs/engines.md, which `make conformance` writes.
"""

from __future__ import annotations

import gc
import re
import resource
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from math import prod
from pathlib import Path

import numpy as np
import onnx
import pytest

import engines
from engines import (
    Engine,
    EngineError,
    EngineStateError,
    EngineUnavailable,
    Kernel,
    Network,
    OptionError,
    Program,
    ProgramError,
    TensorError,
    border,
)
from engines.traffic import Traffic, Work
from tests.engines.subjects import Subject, expected_features, picture, small_network

Prepared = Callable[[], Engine]
column = pytest.mark.conformance


def run(engine: Engine, image: np.ndarray) -> np.ndarray:
    """Real numbers in; the features as the engine has them."""
    border.give(engine, "image", image)
    engine.forward()
    return engine.get_tensor("features")


def assert_right(engine: Engine, image: np.ndarray) -> None:
    """Runs it. A quantised engine may be two steps off."""
    run(engine, image)
    # Values are about ten; Winograd's algorithm, which some libraries use, costs a digit.
    atol = max(1e-4, 2 * step(engine))
    np.testing.assert_allclose(border.take(engine, "features"), expected_features(image), atol=atol)


def step(engine: Engine) -> float:
    """Between two neighbouring numbers of the features; 0 where they are not quantised."""
    return engine.outputs[0].scale or 0.0


@column("results")
def test_runs_what_the_network_says(prepared: Prepared) -> None:
    engine = prepared()
    assert_right(engine, picture())
    features, positive = (border.take(engine, name) for name in ("features", "positive"))
    np.testing.assert_allclose(positive, np.maximum(features, 0), rtol=0, atol=step(engine))


@column("tensors")
def test_tells_its_tensors_after_prepare(prepared: Prepared) -> None:
    engine = prepared()
    inputs = [str(border.outside(spec)) for spec in engine.inputs]
    assert inputs == ["image: float32[1, 3, 8, 10] nchw"]
    assert [spec.name for spec in engine.outputs] == ["features", "positive"]
    assert engine.outputs[0].shape == (1, 4, 8, 10)


@column("tensors")
def test_counts_what_goes_over_its_border(prepared: Prepared) -> None:
    engine = prepared()
    assert engine.traffic == Traffic()  # without what `prepare` ran
    for _ in range(3):
        run(engine, picture())
    (image,), features = engine.inputs, engine.outputs[0]
    traffic = engine.traffic
    assert (traffic.forwards, traffic.run_ns > 0) == (3, True)
    assert traffic.bytes_in == 3 * picture().size * image.dtype.itemsize
    assert traffic.bytes_out == 3 * prod(features.shape) * features.dtype.itemsize
    assert traffic.quantised.bytes == (3 * picture().nbytes if image.scale else 0)
    assert traffic.dequantised == Work()
    reals = border.take(engine, "features")
    assert traffic.dequantised.bytes == (reals.nbytes // 4 if features.scale else 0)
    assert engine.report()["traffic"] == asdict(traffic)


@column("precision")
def test_report_says_where_and_how_precise(subject: Subject, prepared: Prepared) -> None:
    engine = prepared()
    report = engine.report()
    assert report["id"] == engine.id
    assert report["backend"] == engine.backend
    assert report["device"] == engine.device
    assert report["precision"] == subject.precision
    assert report["inputs"] == [str(spec) for spec in engine.inputs]


@column("precision")
def test_a_precision_is_obeyed_or_refused(subject: Subject, stored: Network) -> None:
    kind = engines.engine_class(subject.backend)
    for precision in ("fp32", "bf16", "fp16", "int8"):
        with engines.create("e", subject.backend, subject.device, precision) as engine:
            engine.init()
            if precision in (stored.precision, *kind.casts):
                try:
                    engine.prepare(stored)
                except EngineUnavailable:  # this machine's device does not compute in it
                    assert precision in kind.casts
                    continue
                run(engine, picture())
                np.testing.assert_allclose(
                    border.take(engine, "features"),
                    expected_features(picture()),
                    atol=max(0.1, 2 * step(engine)),
                )
                assert engine.report()["precision"] == precision
            else:
                with pytest.raises(ProgramError, match=f"precision {precision} is asked for"):
                    engine.prepare(stored)
    with pytest.raises(OptionError, match="precision: expected one of fp32"):
        engines.create("e", subject.backend, precision="fp8")


@column("order of calls")
@pytest.mark.parametrize(
    ("calls", "last"),
    [
        ([], "prepare"),
        ([], "forward"),
        ([], "set_tensor"),
        ([], "get_tensor"),
        (["init"], "init"),
        (["init"], "set_tensor"),
        (["init"], "forward"),
        (["init", "prepare"], "init"),
        (["init", "prepare"], "prepare"),
        (["init", "prepare"], "forward"),
        (["init", "prepare"], "get_tensor"),
        (["init", "prepare", "set_tensor"], "get_tensor"),
        (["init", "prepare", "set_tensor", "forward"], "forward"),
        (["init", "prepare", "set_tensor", "forward", "set_tensor"], "get_tensor"),
        (["init", "prepare", "destroy"], "set_tensor"),
        (["init", "prepare", "destroy"], "forward"),
        (["init", "prepare", "set_tensor", "forward", "destroy"], "get_tensor"),
        (["destroy"], "init"),
        (["init", "destroy"], "prepare"),
    ],
)
def test_any_other_order_is_an_error(
    subject: Subject, program: Program, calls: list[str], last: str
) -> None:
    engine = subject.create("e")
    does = {
        "init": engine.init,
        "prepare": lambda: engine.prepare(program),
        "set_tensor": lambda: border.give(engine, "image", picture()),
        "forward": engine.forward,
        "get_tensor": lambda: engine.get_tensor("features"),
        "destroy": engine.destroy,
    }
    for call in calls:
        does[call]()
    with pytest.raises(EngineStateError, match=rf"'e'.*{last}\(\)"):
        does[last]()
    engine.destroy()
    engine.destroy()


@column("wrong tensors")
@pytest.mark.parametrize(
    ("array", "told"),
    [
        (picture().astype(np.float64), "float64[1, 3, 8, 10]"),
        (picture()[:, :, :7], "float32[1, 3, 7, 10]"),
        (picture()[0], "float32[3, 8, 10]"),
        (picture().transpose(0, 2, 3, 1), "float32[1, 8, 10, 3]"),
        (picture().tolist(), "list"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_breaks(
    prepared: Prepared, array: np.ndarray, told: str
) -> None:
    engine = prepared()
    with pytest.raises(TensorError, match=re.escape(f"expected {engine.inputs[0]}, got {told}")):
        engine.set_tensor("image", array)
    assert_right(engine, picture())


@column("wrong tensors")
def test_names_that_are_not_there_are_told(prepared: Prepared) -> None:
    engine = prepared()
    with pytest.raises(TensorError, match="no input 'images'"):
        engine.set_tensor("images", picture())
    assert_right(engine, picture())
    with pytest.raises(TensorError, match="no output 'nothing'"):
        engine.get_tensor("nothing")


@column("any memory")
def test_read_only_and_strided_inputs(prepared: Prepared) -> None:
    engine, image = prepared(), picture()
    strided = np.ascontiguousarray(image.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    reversed_ = image[..., ::-1]
    for array in (strided, reversed_):
        array.flags.writeable = False
        assert_right(engine, array)


@column("ownership")
def test_outputs_belong_to_the_caller(prepared: Prepared) -> None:
    engine = prepared()
    first = run(engine, picture(1))
    copy = first.copy()
    second = run(engine, picture(2))
    np.testing.assert_array_equal(first, copy)
    assert not np.array_equal(first, second)
    engine.destroy()
    np.testing.assert_array_equal(first, copy)


@column("same bytes")
def test_same_input_same_bytes(prepared: Prepared) -> None:
    one, other = prepared(), prepared()
    assert run(one, picture()).tobytes() == run(one, picture()).tobytes()
    assert run(one, picture()).tobytes() == run(other, picture()).tobytes()


@column("two threads")
def test_two_engines_in_two_threads(prepared: Prepared) -> None:
    found: dict[int, bool] = {}

    def work(number: int, engine: Engine) -> None:
        assert_right(engine, picture(number))
        expected = run(engine, picture(number))
        found[number] = all(
            np.array_equal(run(engine, picture(number)), expected) for _ in range(50)
        )

    threads = [threading.Thread(target=work, args=(n, prepared())) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: True, 1: True}


@column("flat memory")
@pytest.mark.slow
def test_loading_again_and_again_keeps_memory_flat(subject: Subject, program: Program) -> None:
    def cycles(count: int) -> int:
        for _ in range(count):
            with subject.create("e") as engine:
                engine.init()
                engine.prepare(program)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = cycles(subject.cycles // 5)
    grown = cycles(subject.cycles - subject.cycles // 5) - before
    assert grown < 16 * 1024, "kilobytes of peak memory"


@column("damaged files")
@pytest.mark.parametrize("content", ["empty", "garbage", "truncated", "other format", "missing"])
def test_damaged_files_name_themselves(
    subject: Subject, stored: Network, tmp_path: Path, content: str
) -> None:
    for file in sorted(stored.path.parent.iterdir()):
        if file.suffix not in (".json", ".onnx") or file == stored.path:
            folder = tmp_path / file.name
            shutil.copytree(stored.path.parent, folder)
            damage(folder / file.name, content)
            assert_refused(subject, replace(stored, path=folder / stored.path.name, sha256=None))
    with subject.create("e") as engine:
        engine.init()
        engine.prepare(stored)
        assert_right(engine, picture())


@column("damaged files")
def test_missing_external_data_is_told(subject: Subject, tmp_path: Path) -> None:
    if "onnx" not in engines.engine_class(subject.backend).formats or not subject.files:
        pytest.skip(f"{subject} loads no ONNX files")
    network = small_network(tmp_path)
    onnx.save(
        onnx.load(network.path),
        network.path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    (tmp_path / "weights.bin").unlink()
    assert_refused(subject, network)


def damage(path: Path, content: str) -> None:
    good = path.read_bytes()
    path.unlink()
    if content != "missing":
        path.write_bytes(
            {
                "empty": b"",
                "garbage": np.random.default_rng(0).bytes(4096),
                "truncated": good[: len(good) // 2],
                "other format": b"<?xml version='1.0'?><net/>" * 50,
            }[content]
        )


def assert_refused(subject: Subject, bad: Network) -> None:
    with subject.create("e") as engine:
        engine.init()
        with pytest.raises(ProgramError, match=re.escape(str(bad.path.parent))):
            engine.prepare(bad)


@column("wrong programs")
def test_a_program_it_cannot_run_is_refused(subject: Subject, program: Program) -> None:
    with subject.create("e") as engine:
        engine.init()
        paper = Network(Path("network.paper"), "paper")
        for bad in (Kernel("make-coffee"), paper):
            with pytest.raises(ProgramError, match=r"cannot run .*; it runs "):
                engine.prepare(bad)
            assert subject.backend not in engines.able(bad)
    assert subject.backend in engines.able(program)


@column("batch = single")
@pytest.mark.parametrize("batch", [1, 3])
def test_a_free_batch_axis(subject: Subject, tmp_path: Path, batch: int) -> None:
    if engines.engine_class(subject.backend).free_axes == "none":
        pytest.skip(f"{subject} promises no free axes")
    program = subject.program(small_network(tmp_path, batch=-1), tmp_path / "converted")
    with subject.create("e") as engine:
        engine.init()
        engine.prepare(program)
        images = picture(batch=batch)
        assert_right(engine, images)
        together = run(engine, images)
        for image, features in zip(images, together, strict=True):
            np.testing.assert_allclose(run(engine, image[None])[0], features, atol=1e-5)


@column("free size")
def test_free_height_and_width(subject: Subject, tmp_path: Path) -> None:
    if engines.engine_class(subject.backend).free_axes != "any":
        pytest.skip(f"{subject} promises no free height and width")
    program = subject.program(small_network(tmp_path, height=-1, width=-1), tmp_path / "converted")
    with subject.create("e") as engine:
        engine.init()
        engine.prepare(program)
        for height, width in ((8, 10), (16, 12), (8, 10)):
            image = np.random.default_rng(1).normal(size=(1, 3, height, width))
            assert_right(engine, image.astype(np.float32))


@column("failure and on")
def test_a_wrong_call_leaves_the_engine_usable(prepared: Prepared) -> None:
    engine = prepared()
    with pytest.raises(EngineError):
        engine.forward()
    assert_right(engine, picture())
