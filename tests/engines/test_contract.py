"""One contract for every backend: order, names, shapes, types, threads, damaged files."""

from __future__ import annotations

import gc
import re
import resource
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import (
    Engine,
    EngineStateError,
    Kernel,
    Network,
    ProgramError,
    TensorError,
    TensorSpec,
)
from tests.engines.conftest import IMAGE, expected_features, save_convolution

Prepared = Callable[[], Engine]


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=IMAGE.shape).astype(np.float32)


def run(engine: Engine, image: np.ndarray) -> np.ndarray:
    engine.set_tensor("image", image)
    engine.forward()
    return engine.get_tensor("features")


def test_runs_what_the_network_says(prepared: Prepared) -> None:
    engine = prepared()
    features = run(engine, picture())
    np.testing.assert_allclose(features, expected_features(picture()), atol=1e-5)
    np.testing.assert_array_equal(engine.get_tensor("positive"), np.maximum(features, 0))


def test_tells_its_tensors_after_prepare(prepared: Prepared) -> None:
    engine = prepared()
    assert [spec.name for spec in engine.inputs] == ["image"]
    assert engine.inputs[0].layout == "nchw"
    assert [spec.name for spec in engine.outputs] == ["features", "positive"]
    assert engine.outputs[0].shape == (1, 4, 8, 10)


def test_report_says_where_and_how_precise(prepared: Prepared) -> None:
    engine = prepared()
    report = engine.report()
    assert report["id"] == engine.id
    assert report["device"] == "cpu"
    assert report["precision"]
    assert report["inputs"] == ["image: float32[1, 3, 8, 10] nchw"]


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
    backend: str, network: Network, calls: list[str], last: str
) -> None:
    engine = engines.create("e", backend)
    arguments = {
        "prepare": (network,),
        "set_tensor": ("image", picture()),
        "get_tensor": ("features",),
    }
    for call in calls:
        getattr(engine, call)(*arguments.get(call, ()))
    with pytest.raises(EngineStateError, match=rf"'e'.*{last}\(\)"):
        getattr(engine, last)(*arguments.get(last, ()))
    engine.destroy()
    engine.destroy()


@pytest.mark.parametrize(
    ("name", "array", "told"),
    [
        ("images", picture(), "no input 'images'"),
        ("image", picture().astype(np.float64), "expected image: float32[1, 3, 8, 10] nchw, got f"),
        ("image", picture()[:, :, :7], "got float32[1, 3, 7, 10]"),
        ("image", picture()[0], "got float32[3, 8, 10]"),
        ("image", picture().transpose(0, 2, 3, 1), "got float32[1, 8, 10, 3]"),
        ("image", picture().tolist(), "got list"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_breaks(
    prepared: Prepared, name: str, array: np.ndarray, told: str
) -> None:
    engine = prepared()
    with pytest.raises(TensorError, match=re.escape(told)):
        engine.set_tensor(name, array)
    np.testing.assert_allclose(run(engine, picture()), expected_features(picture()), atol=1e-5)
    with pytest.raises(TensorError, match="no output 'nothing'"):
        engine.get_tensor("nothing")


def test_read_only_and_strided_inputs(prepared: Prepared) -> None:
    engine, image = prepared(), picture()
    strided = np.ascontiguousarray(image.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    reversed_ = image[..., ::-1]
    for array in (strided, reversed_):
        array.flags.writeable = False
        np.testing.assert_allclose(run(engine, array), expected_features(array), atol=1e-5)


def test_outputs_belong_to_the_caller(prepared: Prepared) -> None:
    engine = prepared()
    first = run(engine, picture(1))
    copy = first.copy()
    second = run(engine, picture(2))
    np.testing.assert_array_equal(first, copy)
    assert not np.array_equal(first, second)
    engine.destroy()
    np.testing.assert_array_equal(first, copy)


def test_same_input_same_bytes(prepared: Prepared) -> None:
    one, other = prepared(), prepared()
    assert run(one, picture()).tobytes() == run(one, picture()).tobytes()
    assert run(one, picture()).tobytes() == run(other, picture()).tobytes()


def test_two_engines_in_two_threads(prepared: Prepared) -> None:
    found: dict[int, bool] = {}

    def work(number: int, engine: Engine) -> None:
        expected = run(engine, picture(number))
        found[number] = all(
            np.array_equal(run(engine, picture(number)), expected) for _ in range(50)
        ) and np.allclose(expected, expected_features(picture(number)), atol=1e-5)

    threads = [threading.Thread(target=work, args=(n, prepared())) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: True, 1: True}


def test_loading_again_and_again_keeps_memory_flat(backend: str, network: Network) -> None:
    def cycles(count: int) -> int:
        for _ in range(count):
            with engines.create("e", backend) as engine:
                engine.init()
                engine.prepare(network)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = cycles(30)
    assert cycles(170) - before < 16 * 1024, "kilobytes of peak memory after 170 more cycles"


@pytest.mark.parametrize("content", ["empty", "garbage", "truncated", "other format", "missing"])
def test_damaged_files_name_themselves(
    backend: str, network: Network, tmp_path: Path, content: str
) -> None:
    good = network.path.read_bytes()
    bad = tmp_path / "bad.onnx"
    contents = {
        "empty": b"",
        "garbage": np.random.default_rng(0).bytes(4096),
        "truncated": good[: len(good) // 2],
        "other format": b"<?xml version='1.0'?><net/>" * 50,
    }
    if content != "missing":
        bad.write_bytes(contents[content])
    engine = engines.create("e", backend)
    engine.init()
    with pytest.raises(ProgramError, match=re.escape(str(bad))):
        engine.prepare(replace(network, path=bad))
    engine.prepare(network)
    run(engine, picture())
    engine.destroy()


def test_a_program_it_cannot_run_is_refused(backend: str, network: Network) -> None:
    engine = engines.create("e", backend)
    engine.init()
    for program in (Kernel("make-coffee"), replace(network, format="paper")):
        with pytest.raises(ProgramError, match=r"cannot run .*; it runs onnx networks"):
            engine.prepare(program)
        assert backend not in engines.able(program)
    assert backend in engines.able(network)
    engine.destroy()


@pytest.mark.parametrize("batch", [1, 3])
def test_a_free_batch_axis(backend: str, tmp_path: Path, batch: int) -> None:
    path = save_convolution(tmp_path / "batch.onnx", "n")
    free = TensorSpec("image", (-1, 3, 8, 10), np.dtype("float32"), "nchw")
    outputs = tuple(
        TensorSpec(name, (-1, 4, 8, 10), np.dtype("float32")) for name in ("features", "positive")
    )
    with engines.create("e", backend) as engine:
        engine.init()
        engine.prepare(Network(path, "onnx", (free,), outputs))
        image = np.concatenate([picture(n) for n in range(batch)])
        np.testing.assert_allclose(run(engine, image), expected_features(image), atol=1e-5)
