"""The examples of docs/results.md, on results as they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipeline.batch.results import write_tables
from pipeline.batch.results.columns import EVENTS, FRAMES, TRACKS
from tests.batch.results.conftest import CLIPS
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "results.md").read_text()


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def about(words: str) -> str:
    """The SQL that follows these words."""
    return PAGE.split(words, 1)[1].split("```sql\n", 1)[1].split("```", 1)[0]


@pytest.fixture
def here(out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results with tables, as the working directory."""
    write_tables(out, CLIPS)
    monkeypatch.chdir(out)
    return out


def test_every_question_has_an_answer(here: Path) -> None:
    questions = examples("sql")
    assert len(questions) >= 15
    with duckdb.connect() as database:
        empty = [q for q in questions if not database.execute(q).fetchall()]
    # Nothing was crossed here, and no second network said anything.
    assert empty == [about("Crossings of each line"), about("what a second network calls them")]


def test_answers_are_right(here: Path) -> None:
    with duckdb.connect() as database:

        def rows(question: str) -> list[tuple[object, ...]]:
            return database.execute(question).fetchall()

        blind = rows(about("What was not seen"))
        assert blind == [(clip, "blind", "engine failed", 1) for clip in CLIPS]
        objects = rows("SELECT video, 0, count(DISTINCT id) FROM 'tracks.parquet' GROUP BY ALL")
        assert rows(about("in each hour of each video")) == sorted(objects)
        left = rows("SELECT count(*) FROM 'events.parquet' WHERE kind = 'leave'")[0][0]
        assert rows(about("in each zone")) == [("street", left, 0.5, 0.5)]
        assert rows(about("Without Parquet")) == rows(
            "SELECT video, class, count(DISTINCT (video, id)) FROM 'tracks.parquet' "
            "GROUP BY ALL ORDER BY ALL"
        )


def test_the_python_runs(here: Path) -> None:
    for number, code in enumerate(examples("python")):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (number, done.stderr)
        assert done.stdout.strip()


def test_every_column_is_explained() -> None:
    for columns in (FRAMES, TRACKS, EVENTS):
        missing = [name for name in columns if f"`{name}`" not in PAGE]
        assert not missing
