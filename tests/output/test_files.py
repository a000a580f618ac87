"""Files that are complete or still called part."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import OutputError, PacketError
from pipeline.output.files import LineFile


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: a disk that is full, from the writer's side."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, handler)


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


def test_a_full_disk_never_leaves_half_a_line_and_writing_resumes(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "a.jsonl")
    with largest_file(10):
        file.write("1234\n")
        for _ in range(2):
            with pytest.raises(PacketError) as caught:
                file.write("567890\n")
            assert caught.value.reason == "disk_full"
        assert (tmp_path / "a.jsonl.part").read_text() == "1234\n"
    file.write("abc\n")
    with pytest.raises(OutputError, match="incomplete: 2 frames"):
        file.finish()
    file.close()
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl.part"]
    assert (tmp_path / "a.jsonl.part").read_text() == "1234\nabc\n"
