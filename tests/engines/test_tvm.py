"""What only TVM does: code is trusted by its manifest, threads are shared but never pinned."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import Network, OptionError, ProgramError
from engines.tvm import Manifest
from tests.engines.subjects import expected_features, picture, small_network

pytest.importorskip("tvm")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Network:
    from engines.convert.tvm import convert

    folder = tmp_path_factory.mktemp("tvm")
    return convert(small_network(folder, batch=-1), folder, "fp32")


@pytest.fixture
def network(compiled: Network, tmp_path: Path) -> Network:
    """A copy that may be damaged."""
    for path in (compiled.path, Manifest.path(compiled.path)):
        shutil.copy(path, tmp_path)
    return replace(compiled, path=tmp_path / compiled.path.name, sha256=None)


def prepared(network: Network, **options: object) -> engines.Engine:
    engine = engines.create("cpu0", "tvm", **options)
    engine.init()
    engine.prepare(network)
    return engine


def features(engine: engines.Engine, image: np.ndarray) -> np.ndarray:
    engine.set_tensor("image", image)
    engine.forward()
    return engine.get_tensor("features")


def test_a_library_without_a_manifest_is_not_loaded(network: Network) -> None:
    Manifest.path(network.path).unlink()
    with pytest.raises(ProgramError, match=r"network\.so: a library is code .* network\.json"):
        prepared(network)


def test_a_library_that_was_changed_is_not_loaded(network: Network) -> None:
    code = bytearray(network.path.read_bytes())
    code[len(code) // 2] ^= 1
    network.path.write_bytes(code)
    with pytest.raises(ProgramError, match=r"network\.so \(\d+ bytes\): not the library"):
        prepared(network)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("version", "0.1", r"compiled for version of TVM 0\.1, but here is"),
        ("cpu", "i386", "compiled for kind of CPU i386, but here is .* convert MODEL --to tvm"),
        ("schema", 2, r"network\.json: expected schema 1"),
        ("inputs", [{"name": "image"}], r"network\.json: not the manifest"),
        ("colour", "red", r"network\.json: not the manifest"),
    ],
)
def test_what_was_compiled_for_elsewhere_is_not_loaded(
    network: Network, key: str, value: object, told: str
) -> None:
    path = Manifest.path(network.path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ProgramError, match=told):
        prepared(network)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_manifest_that_is_none(network: Network, text: str) -> None:
    Manifest.path(network.path).write_text(text)
    with pytest.raises(ProgramError, match=r"network\.json: not the manifest"):
        prepared(network)


def test_the_manifest_knows_the_precision(network: Network) -> None:
    with pytest.raises(ProgramError, match="precision fp16 is asked for"):
        prepared(replace(network, precision=""), precision="fp16")


def test_threads_change_nothing_and_nobody_is_pinned(network: Network) -> None:
    before = os.sched_getaffinity(0)
    image = picture(batch=3)
    with prepared(network) as one, prepared(network, threads=2) as two:
        found = [features(engine, image) for engine in (one, two, one)]
        assert two.report()["threads"] == 2
    assert len({array.tobytes() for array in found}) == 1
    np.testing.assert_allclose(found[0], expected_features(image), atol=1e-4)
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_are_a_number(threads: object) -> None:
    with pytest.raises(OptionError, match="threads: expected a whole number ≥ 1"):
        engines.create("cpu0", "tvm", threads=threads)


def test_there_is_no_other_device() -> None:
    with pytest.raises(OptionError, match="no such device; there is cpu"):
        engines.create("gpu0", "tvm", device="cuda:0").init()
