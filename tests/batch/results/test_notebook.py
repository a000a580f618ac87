"""The notebook that opens a batch's results, run as people would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from pipeline.batch.results import write_notebook, write_tables
from pipeline.errors import OutputError
from tests.batch.results.conftest import CLIPS

_MISSING = "import sys; sys.modules.update(dict.fromkeys(['duckdb', 'pyarrow', 'matplotlib']))\n"


def cells(path: Path) -> list[str]:
    book = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


def ran(out: Path, before: str = "") -> str:
    """What the notebook's cells say, one after the other in one interpreter of its own."""
    code = before + "\n".join(cells(out / "results.ipynb"))
    environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error::DeprecationWarning", "-c", code]
    done = subprocess.run(
        command, cwd=out, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_a_notebook_without_results(tmp_path: Path) -> None:
    write_notebook(tmp_path)
    book = nbformat.read(tmp_path / "results.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(book)
    assert not any(cell.get("outputs") for cell in book.cells)
    assert [path.name for path in tmp_path.iterdir()] == ["results.ipynb"]


def test_it_says_the_same_whatever_is_installed(out: Path) -> None:
    write_notebook(out)
    plain = ran(out, _MISSING)
    write_tables(out, CLIPS)
    whole = ran(out)
    assert whole.startswith(plain), "only what DuckDB says comes behind it"
    for clip in CLIPS:
        said = json.loads((out / clip / "manifest.json").read_text())
        assert f"{clip}: {said['frames']} frames, {said['tracks']} tracks" in plain
    assert "'blind': 2" in plain
    assert "street enter" in plain


def test_an_empty_batch_is_no_error(tmp_path: Path) -> None:
    write_notebook(tmp_path)
    assert "0 boxes in 0 clips" in ran(tmp_path, _MISSING)


def test_what_people_wrote_into_it_stays(tmp_path: Path) -> None:
    (tmp_path / "results.ipynb").write_text("mine")
    write_notebook(tmp_path)
    assert (tmp_path / "results.ipynb").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*results\.ipynb: No such file"):
        write_notebook(tmp_path / "nowhere")
