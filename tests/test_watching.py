"""Each change of a file is told once, however it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.watching import FileWatch


def in_place(path: Path) -> None:
    path.write_text("second text")


def renamed(path: Path) -> None:
    """As editors and configuration management do."""
    other = path.with_suffix(".new")
    other.write_text("second")
    other.rename(path)


def removed_and_written(path: Path) -> None:
    path.unlink()
    path.write_text("second text")


@pytest.mark.parametrize("change", [in_place, renamed, removed_and_written])
def test_a_change_is_told_once(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "street.yaml"
    path.write_text("first")
    watch = FileWatch(path)
    assert [watch.changed() for _ in range(3)] == [False, False, False]
    change(path)
    assert [watch.changed() for _ in range(4)] == [False, True, False, False]


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As a Kubernetes ConfigMap is: ``street.yaml -> ..data/street.yaml``, ``..data -> ..1``."""
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "street.yaml").write_text(name)
    data, path = tmp_path / "..data", tmp_path / "street.yaml"
    data.symlink_to("..1")
    path.symlink_to("..data/street.yaml")
    watch = FileWatch(path)
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(data)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_a_file_that_is_still_written_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "street.yaml"
    path.write_text("first")
    watch = FileWatch(path)
    told = []
    for length in range(3):
        path.write_text("second" + "." * length)
        told.append(watch.changed())
    assert told == [False, False, False]
    assert watch.changed()


def test_a_file_that_is_away_for_a_while_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "street.yaml"
    path.write_text("first")
    watch = FileWatch(path)
    away = path.rename(tmp_path / "away")
    assert [watch.changed() for _ in range(3)] == [False, False, False]
    away.rename(path)
    assert [watch.changed() for _ in range(3)] == [False, False, False]
