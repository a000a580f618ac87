"""Which models there are, and how they come here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline import resources
from pipeline.errors import ModelError
from pipeline.models import catalogue, entries, find, load_model, pull
from tests.models.conftest import Package, Web


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIGHTLINE_CACHE", str(folder))
    return folder


@pytest.fixture
def listed(package: Package, web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Package:
    """The small package as the only one of a catalogue, its file on a web server."""
    web.files["/upstream/tiny.onnx"] = package.weights.read_bytes()
    package.manifest["files"][0]["url"] = f"{web.url}/upstream/tiny.onnx"
    del package.manifest["test_vector"]
    configs = tmp_path / "shipped" / "configs" / "models" / "tiny"
    configs.mkdir(parents=True)
    listed = Package(configs, package.manifest)
    listed.write()
    monkeypatch.setattr(catalogue, "shipped", lambda folder: tmp_path / "shipped" / folder)
    return listed


def test_every_entry_of_the_real_catalogue_is_right() -> None:
    found = {entry.manifest.name: entry for entry in entries()}
    assert {"hog-people", "yolox-nano", "ssd-mobilenet-v1-12", "osnet-x0-25"} <= set(found)
    for name, entry in found.items():
        if entry.origin == "catalogue":
            assert all(file.url for file in entry.manifest.files) or entry.manifest.note, name
            assert not entry.manifest.lacking or entry.manifest.note, name
        folder = {"catalogue": "configs/models", "shipped": "models"}[entry.origin]
        assert (resources.shipped(folder.split("/")[0])).is_dir()
        assert entry.folder.name == name


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("yolox-nano", "yolox_nano/yolox_nano_opencv_zoo.onnx"),
        ("nanodet-m-416", "nanodet_m/nanodet_m_416.onnx"),
        ("fastestdet", "fastestdet/FastestDet.onnx"),
        ("reid-retail-0248", "reid/person-reidentification-retail-0248.onnx"),
        ("osnet-x0-25", "reid/osnet_x0_25_msmt17.onnx"),
    ],
)
def test_entries_describe_the_real_files(
    assets: Path, tmp_path: Path, name: str, path: str
) -> None:
    """Size, hash and tensors of the catalogue are those of the file."""
    import engines

    mirrored = tmp_path / "mirror" / name / find(name).manifest.files[0].path
    mirrored.parent.mkdir(parents=True)
    shutil.copy(assets / "models" / path, mirrored)
    pull(name, mirror=str(tmp_path / "mirror"))
    with engines.create("e", "onnxruntime") as engine:
        engine.init()
        engine.prepare(load_model(name).program)


def test_pull_then_run(listed: Package, cache: Path, web: Web) -> None:
    with pytest.raises(ModelError, match="tiny is not downloaded; run: sightline models pull tiny"):
        load_model("tiny")
    assert find("tiny").missing
    entry = pull("tiny")
    assert not entry.missing
    assert (cache / "models/tiny/tiny.onnx").is_file()
    assert load_model("tiny").name == "tiny"
    pull("tiny")
    assert len(web.asked) == 1, "what is here and right is not downloaded again"


def test_pull_replaces_a_damaged_file(listed: Package, cache: Path) -> None:
    pull("tiny")
    file = cache / "models/tiny/tiny.onnx"
    file.write_bytes(b"damaged")
    with pytest.raises(
        ModelError, match=r"expected \d+ bytes, found 7; run: sightline models pull"
    ):
        load_model("tiny")
    pull("tiny")
    load_model("tiny")


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_a_copy_of_a_cache_is_a_mirror(
    listed: Package, web: Web, tmp_path: Path, cache: Path, kind: str
) -> None:
    content = web.files.pop("/upstream/tiny.onnx")
    mirror = tmp_path / "mirror"
    (mirror / "tiny").mkdir(parents=True)
    (mirror / "tiny" / "tiny.onnx").write_bytes(content)
    web.files["/copy/tiny/tiny.onnx"] = content
    pull("tiny", mirror=str(mirror) if kind == "folder" else f"{web.url}/copy/")
    assert (cache / "models/tiny/tiny.onnx").read_bytes() == content


def test_a_mirror_without_the_file(listed: Package, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the mirror has no such file"):
        pull("tiny", mirror=str(tmp_path / "nowhere"))


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ModelError, match="no model 'yolox-nanno'; did you mean 'yolox-nano'"):
        find("yolox-nanno")


def test_an_unknown_precision_says_which_there_are() -> None:
    with pytest.raises(ModelError, match=r"no files in fp15; did you mean 'fp16'"):
        find("person-detection-0200").files("fp15")


def test_incomplete_entries_say_why_they_do_not_run() -> None:
    with pytest.raises(ModelError, match=r"can be pulled but not run.*must be converted"):
        load_model("detr-resnet50")


def test_installed_resources_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "pipeline")
    assert resources.shipped("models") == tmp_path / "models"
    (tmp_path / "pipeline" / "shipped" / "models").mkdir(parents=True)
    assert resources.shipped("models") == tmp_path / "pipeline" / "shipped" / "models"
