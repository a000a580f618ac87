"""The command `sightline tune`."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.cli import track, tune
from pipeline.config.tracker import track_spec
from pipeline.errors import ConfigError, DataError
from pipeline.evaluation.mot_files import write_mot
from tests.tuning.courses import walkers


def _run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command("track")(track.command)
    app.command("tune")(tune.command)
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seed, name in enumerate(("park", "street")):
        gt, seen = walkers(seed)
        write_mot(tmp_path / name / "gt" / "gt.txt", gt)
        write_mot(tmp_path / name / "det" / "det.txt", seen)
        (tmp_path / name / "seqinfo.ini").write_text("[Sequence]\nframeRate=10\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _tune(*arguments: str) -> Result:
    return _run("tune", *arguments, "--budget", "16", "--seed", "1", "--processes", "1")


def test_a_preset_is_made_and_used(folder: Path) -> None:
    outcome = _tune(".", "{seq}/det/det.txt", "-o", "tuned.yaml", "--keys", "high_score,new_score")
    assert outcome.exit_code == 0, outcome.output
    assert "not chosen on, HOTA gains" in " ".join(outcome.stdout.split())
    assert "use it with --preset tuned.yaml" in outcome.stdout
    text = (folder / "tuned.yaml").read_text()
    assert text.startswith(
        "# Made by `sightline tune` of sightline: 16 candidates a search, seed 1"
    )
    assert "# park " in text
    spec = track_spec("tuned.yaml")
    assert spec.new_score < 0.5
    assert spec == track_spec("sightline").model_copy(
        update={
            "preset": "tuned.yaml",
            "high_score": spec.high_score,
            "new_score": spec.new_score,
        }
    )
    assert " 0 tracks" in _run("track", "park").stderr
    assert " 3 tracks" in _run("track", "park", "--preset", "tuned.yaml").stderr


def test_one_sequence(folder: Path) -> None:
    outcome = _tune(
        "park", "park/det/det.txt", "-o", "tuned.yaml", "--keys", "new_score,high_score"
    )
    assert "no gain is claimed" in " ".join(outcome.stdout.split())
    assert "# This is one sequence" in (folder / "tuned.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "kind", "complaint"),
    [
        (["-o", "tuned.txt"], DataError, "ends in .yaml"),
        (["-o", "no/tuned.yaml"], DataError, "there is no folder no"),
        (["-o", "tuned.yaml", "--keys", "beauty"], ConfigError, "beauty is not tuned"),
        (["-o", "tuned.yaml", "--preset", "sorty"], ConfigError, "no preset 'sorty'"),
    ],
)
def test_mistakes(
    folder: Path, arguments: list[str], kind: type[Exception], complaint: str
) -> None:
    outcome = _tune(".", "{seq}/det/det.txt", *arguments)
    assert isinstance(outcome.exception, kind)
    assert complaint in str(outcome.exception)
    assert not [*folder.glob("*tuned*")]
