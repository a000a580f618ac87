"""A manifest is read strictly; every mistake names file, line, key and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.detection.heads import Yolov5Head
from pipeline.errors import ModelError
from pipeline.models import PreprocessSpec, read_manifest
from pipeline.models.labels import COCO80, NAMED_LABELS
from tests.models.conftest import Package


def set_in(value: Any, path: tuple[str | int, ...], new: Any) -> None:
    for part in path[:-1]:
        value = value[part]
    value[path[-1]] = new


def test_a_right_one(package: Package) -> None:
    manifest = read_manifest(package.path)
    assert manifest.preprocess == PreprocessSpec(resize="stretch")
    assert isinstance(manifest.head, Yolov5Head)
    assert manifest.class_names == ("person", "car")
    assert manifest.input_size == (32, 16)
    assert manifest.lacking == ()


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("preproces",), {}, r"preproces: unknown key 'preproces'; did you mean 'preprocess'"),
        (("preprocess", "resize"), "leterbox", r"preprocess.resize: .*did you mean 'letterbox'"),
        (("preprocess", "std"), [0, 1, 1], r"preprocess.std.*more than 0"),
        (("preprocess", "pad"), 256, r"preprocess.pad: expected at most 255, found 256"),
        (("preprocess", "mean"), [1, 2], r"preprocess.mean"),
        (("head", "family"), "yolx", r"head.*: 'yolx' is no family; did you mean 'yolox'"),
        (("head", "stride"), 8, r"head.stride: unknown key 'stride'"),
        (("schema",), 2, r"schema: expected 1, found 2"),
        (("name",), "Not A Name", r"name: expected text like"),
        (("task",), "detekt", r"task: .*did you mean 'detect'"),
        (("files", 0, "sha256"), "abc", r"files\[0\].sha256: expected text like"),
        (("files", 0, "size"), "123", r"files\[0\].size: expected a whole number, found '123'"),
        (("files", 0, "path"), "../x.onnx", r"files\[0\]\.path: '../x.onnx' leaves the package"),
        (("files", 0, "path"), "/x.onnx", r"files\[0\]\.path: '/x.onnx' leaves the package"),
        (("files", 0, "url"), "ftp://x/y", r"files\[0\].url: expected text like"),
        (("files", 0, "sha384"), "0" * 96, r"a file has one hash"),
        (("inputs", 0, "dtype"), "float33", r"inputs\[0\].dtype: .*did you mean 'float32'"),
        (("inputs", 0, "layout"), "nhwc", r"has a layout, nchw, nhwc or chw, and 3 channels"),
        (("inputs", 0, "shape"), [1, 3, -1, -1], r"an input of known width and height"),
        (("outputs", 0, "shape"), [1, 8, 85], r"must be 7: box, objectness and 2 labels"),
        (("labels",), ["person", "person"], r"labels have 'person' twice"),
        (("labels",), [], r"a model with a head needs labels"),
        (("program",), {"kernel": "hog-people"}, r"has files or a program"),
        (("test_vector", "atol"), 0, r"test_vector.atol: expected more than 0"),
    ],
)
def test_mistakes(package: Package, path: tuple[str | int, ...], value: object, told: str) -> None:
    set_in(package.manifest, path, value)
    package.write()
    with pytest.raises(ModelError, match=told) as caught:
        read_manifest(package.path)
    assert f"{package.path}:" in str(caught.value)


@pytest.mark.parametrize("key", ["schema", "name", "task", "licence", "source"])
def test_what_must_be_there(package: Package, key: str) -> None:
    del package.manifest[key]
    package.write()
    with pytest.raises(ModelError, match=f"{key}: is missing"):
        read_manifest(package.path)


def test_every_mistake_at_once(package: Package) -> None:
    package.manifest |= {"licens": "MIT", "task": "guess"}
    package.write()
    with pytest.raises(ModelError) as caught:
        read_manifest(package.path)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected a mapping"),
        (b"[1, 2", "not YAML"),
        (b"- a\n- b\n", "expected a mapping"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"schema: 1\nschema: 1\n", "schema"),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=told):
        read_manifest(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        read_manifest(tmp_path / "model.yaml")


@pytest.mark.parametrize("lack", ["inputs", "outputs", "preprocess", "head"])
def test_what_an_incomplete_model_lacks(package: Package, lack: str) -> None:
    del package.manifest[lack]
    if lack == "outputs":
        del package.manifest["head"]
    package.write()
    assert lack in read_manifest(package.path).lacking


def test_named_labels() -> None:
    assert len(COCO80) == len(set(COCO80)) == 80
    ninety = NAMED_LABELS["coco90"]
    assert len(ninety) == 90
    # Category ids of COCO's own annotation files, from 1.
    assert [ninety[i - 1] for i in (1, 3, 13, 44, 90)] == [
        "person",
        "car",
        "stop sign",
        "bottle",
        "toothbrush",
    ]
