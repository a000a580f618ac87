"""A package is found, checked, and proves itself on an engine; a damaged one says how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import Kernel, Network, Program, ProgramError
from pipeline.errors import ModelError
from pipeline.models import load_model, verify
from tests.models.conftest import Package, save_network


@pytest.mark.parametrize("by", ["folder", "manifest", "text"])
def test_found_by_path(package: Package, by: str) -> None:
    where = {"folder": package.folder, "manifest": package.path, "text": str(package.folder)}[by]
    found = load_model(where)
    assert found.name == "tiny"
    assert isinstance(found.program, Network)
    assert found.program.path == package.weights
    assert found.program.precision == "fp32"
    assert found.input.shape == (1, 3, 16, 32)
    assert not found.own_weights


def test_the_test_vector_holds(package: Package) -> None:
    differences = verify(load_model(package.folder), engines.create("e", "onnxruntime"))
    assert differences == {"output": pytest.approx(0, abs=1e-4)}


def test_a_network_that_computes_something_else_fails_its_test_vector(package: Package) -> None:
    change_vector(package, 0.01)
    with pytest.raises(ModelError, match=r"output output is 0\.01\d* away.*allowed is 0\.001"):
        verify(load_model(package.folder), engines.create("e", "onnxruntime"))


@pytest.mark.parametrize("content", [b"", b"no archive", "incomplete", "missing"])
def test_a_damaged_test_vector(package: Package, content: bytes | str) -> None:
    path = package.folder / "vector.npz"
    if content == "missing":
        path.unlink()
    elif content == "incomplete":
        np.savez(path, images=np.zeros((1, 3, 16, 32), np.uint8))
    else:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"vector\.npz"):
        verify(load_model(package.folder), engines.create("e", "onnxruntime"))


def test_no_test_vector(package: Package) -> None:
    del package.manifest["test_vector"]
    package.write()
    with pytest.raises(ModelError, match="has no test vector"):
        verify(load_model(package.folder), engines.create("e", "onnxruntime"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"expected \d+ bytes, found 0"),
        (b"short", r"expected \d+ bytes, found 5"),
        (None, "no such file"),
        ("flipped", r"expected sha256 \w{64}, found \w{64}"),
    ],
)
def test_damaged_files(package: Package, content: bytes | str | None, told: str) -> None:
    if content is None:
        package.weights.unlink()
    elif content == "flipped":
        good = package.weights.read_bytes()
        package.weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    else:
        package.weights.write_bytes(content)
    with pytest.raises(ModelError, match=rf"tiny\.onnx: {told}.*put the right file there"):
        load_model(package.folder)


def test_own_weights_replace_the_file(package: Package, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    save_network(other)
    other.write_bytes(other.read_bytes() + b"\x72\x01x")  # one more field: the same network
    package.weights.unlink()
    found = load_model(package.folder, weights=other)
    assert found.own_weights
    assert isinstance(found.program, Network)
    assert (found.program.path, found.program.precision) == (other, "fp32")


def test_a_copy_of_the_packages_weights_is_known_by_its_hash(
    package: Package, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(package.weights.read_bytes())
    package.weights.unlink()
    found = load_model(package.folder, weights=copy)
    assert not found.own_weights
    assert isinstance(found.program, Network)
    assert (found.program.path, found.program.precision) == (copy, "fp32")


@pytest.mark.parametrize(("content", "told"), [(None, "no such file"), (b"", "is empty")])
def test_own_weights_that_are_none(
    package: Package, tmp_path: Path, content: bytes | None, told: str
) -> None:
    other = tmp_path / "other.onnx"
    if content is not None:
        other.write_bytes(content)
    with pytest.raises(ModelError, match=rf"other\.onnx: .*{told}"):
        load_model(package.folder, weights=other)


def test_tensors_that_do_not_fit_the_manifest(package: Package) -> None:
    package.manifest["inputs"][0]["shape"] = [1, 3, 32, 32]
    package.write()
    with engines.create("e", "onnxruntime") as engine:
        engine.init()
        with pytest.raises(
            ProgramError,
            match=r"expected input images: float32\[1, 3, 32, 32\] nchw, "
            r"found images: float32\[1, 3, 16, 32\]",
        ):
            engine.prepare(load_model(package.folder).program)


def test_the_shipped_people_detector_is_a_kernel() -> None:
    found = load_model("hog-people")
    assert isinstance(found.program, Kernel)
    with engines.create("e", engines.able(found.program)[0]) as engine:
        engine.init()
        engine.prepare(found.program)
        engine.set_tensor("image", np.zeros(found.input.shape, np.uint8))
        engine.forward()
        assert engine.get_tensor("boxes").shape == (1, 0, 4)
    with pytest.raises(ModelError, match="has no weights"):
        load_model("hog-people", weights="own.onnx")


def change_vector(package: Package, by: float) -> None:
    """Makes the test vector ask for another output."""
    with np.load(package.folder / "vector.npz") as stored:
        changed = dict(stored)
    changed["output"] = changed["output"] + np.float32(by)
    np.savez(package.folder / "vector.npz", **changed)


def prepare(program: Program) -> None:
    with engines.create("e", "onnxruntime") as engine:
        engine.init()
        engine.prepare(program)


def test_an_engine_must_give_the_known_answer(package: Package) -> None:
    """`prepare` runs the test vector where it would run zeros."""
    prepare(load_model(package.folder).program)
    change_vector(package, 0.5)
    with pytest.raises(ProgramError, match=r"wrong result: output output is 0\.5\d* away from"):
        prepare(load_model(package.folder).program)


def test_the_known_answer_is_for_its_own_weights_and_precision(package: Package) -> None:
    change_vector(package, 0.5)
    other = package.folder / "other.onnx"
    save_network(other)
    other.write_bytes(other.read_bytes() + b"\x3a\x00")  # an empty doc_string
    prepare(load_model(package.folder, weights=other).program)
    package.manifest["files"].append({**package.manifest["files"][0], "path": "copy.onnx"})
    package.manifest["files"][1]["precision"] = "int8"
    (package.folder / "copy.onnx").write_bytes(package.weights.read_bytes())
    package.write()
    first, second = load_model(package.folder).variants
    assert isinstance(first, Network)
    assert isinstance(second, Network)
    assert first.answer is not None
    assert second.answer is None


def test_a_known_answer_in_other_shapes_is_not_asked_for(package: Package) -> None:
    program = load_model(package.folder).program
    assert isinstance(program, Network)
    assert program.answer is not None
    wide = {"images": np.zeros((2, 3, 16, 32), np.float32)}
    prepare(replace(program, answer=replace(program.answer, inputs=wide)))
