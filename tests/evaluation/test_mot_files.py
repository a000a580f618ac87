"""Reading, checking and writing MOTChallenge files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.evaluation.mot_files import (
    ANY_CLASS,
    one_after_another,
    read_mot,
    table_from_rows,
    write_mot,
)

GOOD = "1,1,10,20,30,40,0.5,-1,-1,-1\n"


def _written(folder: Path, text: str) -> Path:
    path = folder / "boxes.txt"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("1,1,10,20,30,40,0.5\n", [ANY_CLASS]),  # no class at all
        ("1,1,10,20,30,40,1,3,0.25\n", [3]),  # class and visibility
        ("1,1,10,20,30,40,1,4.5,5.5,0\n", [ANY_CLASS]),  # world coordinates as in MOT15
        ("2,1,10,20,30,40,1,1,1\r\n1,2,1,2,3,4,1,7,1\r\n", [1, 7]),  # DOS line ends
        ("\ufeff1, 1, 10, 20, 30, 40, 1, 2", [2]),  # byte-order mark, blanks, no last line end
        ("", []),  # a tracker that found nothing
    ],
)
def test_kinds_of_files(tmp_path: Path, text: str, classes: list[int]) -> None:
    table = read_mot(_written(tmp_path, text))
    assert table.classes.tolist() == classes
    assert table.boxes_xywh.shape == (len(classes), 4)


def test_columns(tmp_path: Path) -> None:
    table = read_mot(_written(tmp_path, "7,3,10.5,20,30,40,0.25,2,1\n"))
    assert table.frames.tolist() == [7]
    assert table.ids.tolist() == [3]
    assert table.boxes_xywh.tolist() == [[10.5, 20, 30, 40]]
    assert table.scores.tolist() == [0.25]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1,1,10,20,30", "expected 7 to 10 numbers"),
        ("1,1,10,20,30,40,0.5,-1,-1,-1,-1", "expected 7 to 10 numbers"),
        ("1,1,10,20,30,40,0.5,-1,-1", "9 columns, the lines before have 10"),
        ("1,1,10,twenty,30,40,0.5,-1,-1,-1", "'twenty' is not a number"),
        ("1,1,10,,30,40,0.5,-1,-1,-1", "'' is not a number"),
        ("", "found ''"),
        ("1 1 10 20 30 40 0.5 -1 -1 -1", "with commas between"),
        ("1,1,nan,20,30,40,0.5,-1,-1,-1", "not finite"),
        ("1,1,10,20,inf,40,0.5,-1,-1,-1", "not finite"),
        ("0,1,10,20,30,40,0.5,-1,-1,-1", "frame is not a whole number from 1"),
        ("1.5,1,10,20,30,40,0.5,-1,-1,-1", "frame is not a whole number from 1"),
        ("1,1.5,10,20,30,40,0.5,-1,-1,-1", "id is not a whole number"),
        ("1,1e300,10,20,30,40,0.5,-1,-1,-1", "id is not a whole number"),
        ("1,1,10,20,-30,40,0.5,-1,-1,-1", "width or height is negative"),
        ("1,1,10,20,1e30,40,0.5,-1,-1,-1", "beyond 1e9 pixels"),
        ("\x00\x01", "expected 7 to 10 numbers"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = _written(tmp_path, GOOD * 2 + line + "\n" + GOOD)
    with pytest.raises(DataError) as caught:
        read_mot(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert complaint in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    binary = tmp_path / "video.mp4"
    binary.write_bytes(b"\x00\xff\xfe\x80" * 10)
    for path in (binary, tmp_path, tmp_path / "missing.txt"):
        with pytest.raises(DataError, match="cannot be read"):
            read_mot(path)


_centi = st.integers(0, 10**6).map(lambda value: value / 100)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 50),
            st.integers(-1, 9),
            *[_centi] * 4,
            st.integers(0, 100).map(lambda value: value / 100),
            st.integers(-1, 13),
        ),
        max_size=20,
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    table = table_from_rows(rows)
    path = tmp_path_factory.mktemp("mot") / "boxes.txt"
    write_mot(path, table)
    again = read_mot(path)
    order = np.lexsort((table.ids, table.frames))
    for name in ("frames", "ids", "boxes_xywh", "scores", "classes"):
        assert np.array_equal(getattr(again, name), getattr(table, name)[order]), name


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    with pytest.raises(DataError, match="cannot be written"):
        write_mot(tmp_path / "folder" / "out.txt", table_from_rows([]))


def test_sequences_one_after_another_do_not_share_frames() -> None:
    def row(frame: int) -> tuple[float, ...]:
        return (frame, 1, 0, 0, 1, 1, 1, 1)

    first = table_from_rows([row(1), row(2)]), table_from_rows([row(5)])
    second = table_from_rows([row(1)]), table_from_rows([row(1)])
    gt, result = one_after_another([first, second])
    assert gt.frames.tolist() == [1, 2, 6]
    assert result.frames.tolist() == [5, 6]
