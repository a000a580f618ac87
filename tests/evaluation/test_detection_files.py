"""Finding detection files and what is known of their sequences."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.evaluation.detection_files import find_detections
from pipeline.evaluation.pairs import SequenceInfo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("park", "street"):
        (tmp_path / name / "det").mkdir(parents=True)
        (tmp_path / name / "det" / "det.txt").touch()
        (tmp_path / name / "det" / f"{name}-yolox.txt").touch()
    ini = "[Sequence]\nframeRate=14\nseqLength=9\nimWidth=640\nimHeight=480\n"
    (tmp_path / "park" / "seqinfo.ini").write_text(ini)
    return tmp_path


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("park/det/det.txt", ["park"]),
        ("park/det/park-yolox.txt", ["park-yolox"]),
        ("park", ["park"]),
        (".", ["park", "street"]),
        ("{seq}/det/det.txt", ["park", "street"]),
        ("{seq}/det/{seq}-yolox.txt", ["park", "street"]),
        ("./park/det/{seq}.txt", ["det", "park-yolox"]),
    ],
)
@pytest.mark.parametrize("absolute", [True, False])
def test_what_may_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, written: str, names: list[str], absolute: bool
) -> None:
    monkeypatch.chdir(folder)
    found = find_detections([str(folder / written) if absolute else written])
    assert [file.name for file in found] == names
    assert all(file.path.is_file() for file in found)


def test_what_is_known(folder: Path) -> None:
    park, street = find_detections([str(folder)])
    assert park.info() == SequenceInfo(length=9, fps=14, width=640, height=480)
    assert street.info() == SequenceInfo()


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (["nowhere.txt"], "nowhere.txt: no such file"),
        (["park/det"], "holds neither det/det.txt nor folders that hold one; .* park/det/{seq}"),
        (["{seq}.txt"], "no file is called so"),
        (["park", "park/det/det.txt"], "two sequences are called park"),
    ],
)
def test_mistakes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, written: list[str], complaint: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match=complaint):
        find_detections(written)
