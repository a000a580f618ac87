"""Bad input gets one clear message: what, where, remedy; no traceback, nothing half-written."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

TWICE = "cameras=[{id: a, uri: pictures}, {id: a, uri: pictures}]"
CYCLE = "stages={a: {kind: preprocess, after: b}, b: {kind: detect, model: m, after: a}}"


def _not_a_video(folder: Path) -> None:
    (folder / "fake.mp4").write_text("this is not a video\n" * 50)


def _empty_file(folder: Path) -> None:
    (folder / "empty.mp4").touch()


def _empty_model(folder: Path) -> None:
    (folder / "models/tiny/tiny.onnx").write_bytes(b"")


def _changed_model(folder: Path) -> None:
    path = folder / "models/tiny/tiny.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _missing_model(folder: Path) -> None:
    (folder / "models/tiny/tiny.onnx").unlink()


def _misfit(folder: Path) -> None:
    path = folder / "models/tiny/model.yaml"
    # YOLOX of one class at 64 x 64 pixels has 84 anchors of 6 numbers each.
    text = path.read_text().replace("- 32\n", "- 64\n").replace("- 21\n", "- 84\n")
    path.write_text(text)


def _blocked_output(folder: Path) -> None:
    (folder / "out").write_text("a file where a folder should be")


def _nothing(folder: Path) -> None:
    del folder


# What is wrong, how the folder is spoilt, what is set, the exit code, and what the message has.
CASES: dict[str, tuple[Callable[[Path], None], list[str], int, list[str]]] = {
    "unknown key": (_nothing, ["stages.detect.wrkers=2"], 2, ["--set", "'workers'"]),
    "two cameras with one id": (_nothing, [TWICE], 2, ["cameras[1].id", "two cameras"]),
    "a cycle": (_nothing, [CYCLE], 2, ["stages.a.after", "cycle"]),
    "missing file": (
        _nothing, ["cameras.gate.uri=no.mp4"], 3, ["cameras[0].uri", "no.mp4", "no such file"],
    ),
    "not a video": (_not_a_video, ["cameras.gate.uri=fake.mp4"], 3, ["cameras[0].uri", "fake.mp4"]),
    "empty file": (_empty_file, ["cameras.gate.uri=empty.mp4"], 3, ["empty.mp4", "empty"]),
    "unknown model": (
        _nothing, ["stages.detect.model=hog-peple"], 2, ["stages.detect.model", "'hog-people'"],
    ),
    "zero-byte model": (_empty_model, [], 2, ["street.yaml:4:19: stages.detect.model", "0"]),
    "wrong model hash": (_changed_model, [], 2, ["street.yaml:4:", "tiny.onnx", "expected sha256"]),
    "missing weights": (_missing_model, [], 2, ["street.yaml:4:", "tiny.onnx", "no such file"]),
    "tensors that do not fit": (
        _misfit, [], 1, ["street.yaml:4:11: stages.detect: ", "images", "32"],
    ),
    "a model of another task": (
        _nothing, ["stages.embed.model=hog-people"], 2, ["stages.embed.model", "embed"],
    ),
    "a class the model has not": (
        _nothing, ["stages.postprocess.classes=[persn]"], 2, ["stages.postprocess", "person"],
    ),
    "an engine that cannot run it": (
        _nothing, ["stages.detect.model=hog-people"], 2, ["onnxruntime", "opencv"],
    ),
    "unwritable output": (_blocked_output, [], 1, ["out"]),
    "no such device": (
        _nothing, ["engines.gpu0={backend: onnxruntime, device: quantum}"], 1, ["quantum"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_run_is_refused(name: str, sightline: Command, street: Path, tmp_path: Path) -> None:
    spoil, overrides, code, words = CASES[name]
    spoil(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = sightline("run", street, *(a for o in overrides for a in ("--set", o)))
    assert result.code == code, result.err
    assert "Traceback" not in result.err
    assert "error: " in result.err
    for word in words:
        assert word in result.err
    assert sorted(tmp_path.rglob("*")) == before, "something was half-written"


@pytest.mark.parametrize("uri", ["no.mp4", "glob:no/*.mp4", "dir:no", "rendered:moon"])
def test_check_misses_files_by_their_line(uri: str, sightline: Command, street: Path) -> None:
    street.write_text(street.read_text().replace("uri: pictures", f"uri: '{uri}'"))
    result = sightline("check", street)
    assert result.code == 2
    assert "street.yaml:2:21: cameras[0].uri: " in result.err
    assert "Traceback" not in result.err


def test_a_port_in_use(sightline: Command) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        result = sightline("listen", "--bind", f"127.0.0.1:{port}")
    assert result.code == 1
    assert f"127.0.0.1:{port}" in result.err
    assert "choose another port" in result.err


@pytest.mark.parametrize("arguments", [("run", "no.yaml"), ("check", "no.yaml")])
def test_a_missing_configuration(arguments: tuple[str, ...], sightline: Command) -> None:
    result = sightline(*arguments)
    assert result.code == 2
    assert "no.yaml: the configuration cannot be read: No such file" in result.err


def test_listen_says_that_it_cannot_write(sightline: Command, tmp_path: Path) -> None:
    result = sightline("listen", "--bind", "127.0.0.1:0", "--out", tmp_path / "no" / "x.jsonl")
    assert result.code == 1
    assert "cannot be written" in result.err


def test_a_model_folder_without_manifest(sightline: Command, street: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "models/tiny")
    result = sightline("check", street)
    assert result.code == 2
    assert "street.yaml:4:19: stages.detect.model" in result.err
    assert "the manifest cannot be read" in result.err
