"""Files that are complete or still called part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.output.files import LineFile
from pipeline.output.room import is_full
from tests.output.full import largest_file


def test_a_file_gets_its_name_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.csv"
    file = LineFile(path, "head\n")
    file.write("1\n")
    assert [p.name for p in path.parent.iterdir()] == ["a.csv.part"]
    assert (path.parent / "a.csv.part").read_text() == "head\n1\n"
    file.finish()
    file.close()
    assert [p.name for p in path.parent.iterdir()] == ["a.csv"]
    assert path.read_text() == "head\n1\n"


def test_a_file_that_was_there_stays_until_the_new_one_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old\n")
    file = LineFile(path)
    file.write("new\n")
    assert path.read_text() == "old\n"
    file.finish()
    file.close()
    assert path.read_text() == "new\n"


def test_an_unfinished_file_keeps_its_part_name(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "a.jsonl")
    file.write("1\n")
    file.close()
    file.close()
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl.part"]


def test_an_unfinished_file_without_a_line_leaves_nothing(tmp_path: Path) -> None:
    LineFile(tmp_path / "a.csv", "head\n").close()
    assert list(tmp_path.iterdir()) == []


def test_a_finished_file_without_a_line_has_its_header(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "a.csv", "head\n")
    file.finish()
    file.close()
    assert (tmp_path / "a.csv").read_text() == "head\n"


def test_the_rest_of_a_killed_run_does_not_get_into_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.part").write_text("half a li")
    file = LineFile(tmp_path / "a.jsonl")
    file.write("1\n")
    file.finish()
    file.close()
    assert (tmp_path / "a.jsonl").read_text() == "1\n"


def test_two_writers_of_one_file_are_refused(tmp_path: Path) -> None:
    first = LineFile(tmp_path / "a.jsonl")
    first.write("1\n")
    with pytest.raises(OutputError, match="another output or run"):
        LineFile(tmp_path / "a.jsonl")
    first.finish()
    first.close()
    assert (tmp_path / "a.jsonl").read_text() == "1\n"


@pytest.mark.parametrize("path", ["a-folder", "a-file/b.jsonl"])
def test_an_unwritable_path_is_named_with_a_remedy(tmp_path: Path, path: str) -> None:
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "a-file").touch()
    with pytest.raises(OutputError, match=rf"{path}: .*; change the output's 'path'"):
        LineFile(tmp_path / path)


def test_a_full_disk_never_leaves_half_a_line(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "a.jsonl")
    with largest_file(10):
        file.write("1234\n")
        for _ in range(2):
            with pytest.raises(OutputError) as caught:
                file.write("567890\n")
            assert is_full(caught.value)
        assert (tmp_path / "a.jsonl.part").read_text() == "1234\n"
    file.write("abc\n")
    file.finish(missing=2)
    file.close()
    assert (tmp_path / "a.jsonl").read_text() == "1234\nabc\n"
    told = json.loads((tmp_path / "a.jsonl.missing").read_text())
    assert told == {"missing_frames": 2, "reason": "disk_full"}


def test_what_was_missing_in_an_earlier_file_is_not_said_of_the_next(tmp_path: Path) -> None:
    for missing in (1, 0):
        file = LineFile(tmp_path / "a.jsonl")
        file.write("1\n")
        file.finish(missing)
        file.close()
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]
