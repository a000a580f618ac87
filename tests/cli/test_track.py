"""The command `sightline track`."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.cli import track
from pipeline.errors import ConfigError, DataError

FRAMES = (1, 2, 3, 4, 8, 9, 10)
ROWS = "".join(f"{frame},-1,{10 + 2 * frame},20,30,60,{90 + frame}\n" for frame in FRAMES)


def _run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command("track")(track.command)
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    for name in ("park", "street"):
        (tmp_path / name / "det").mkdir(parents=True)
        (tmp_path / name / "det" / "det.txt").write_text(ROWS)
    (tmp_path / "park" / "seqinfo.ini").write_text("[Sequence]\nframeRate=10\n")
    return tmp_path


def test_one_file(sequences: Path) -> None:
    outcome = _run(sequences / "park" / "det" / "det.txt")
    assert outcome.exit_code == 0
    lines = outcome.stdout.splitlines()
    assert [line.split(",")[:2] for line in lines] == [[str(frame), "1"] for frame in FRAMES]
    assert outcome.stderr.startswith("park: 10 frames, 7 detections, 1 tracks, ")
    assert "µs a frame" in outcome.stderr


def test_frame_rate(sequences: Path) -> None:
    noted = "street: 30 frames per second assumed; say others with --fps"
    assert noted in _run(sequences / "street").stderr
    assert "assumed" not in _run(sequences / "street", "--fps", "25").stderr
    lost = ["--set", "max_lost_s=0.2"]  # the gap takes 0.4 s at 10 frames a second
    slow, fast = (_run(sequences / "park", *lost, *more) for more in ([], ["--fps", "30"]))
    assert " 2 tracks" in slow.stderr
    assert " 1 tracks" in fast.stderr


@pytest.mark.parametrize("output", ["out/", "out/{seq}.txt"])
def test_several_sequences(sequences: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    monkeypatch.chdir(sequences)
    assert _run(sequences, "--preset", "bytetrack", "-o", output).exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["park.txt", "street.txt"]
    alone = _run("park", "--preset", "bytetrack", "-o", "alone.txt")
    assert alone.stdout == ""
    assert Path("alone.txt").read_text() == Path("out/park.txt").read_text()


def test_gaps(sequences: Path) -> None:
    filled = _run(sequences / "park", "--interpolate", "0.5").stdout.splitlines()
    assert len(filled) == 10
    assert "-1.0000" in filled[4]
    smooth = _run(sequences / "park", "--interpolate", "0.5", "--smooth").stdout.splitlines()
    assert len(smooth) == 10


def test_least_confidence(sequences: Path) -> None:
    assert " 5 detections" in _run(sequences / "park", "--min-score", "93").stderr


@pytest.mark.parametrize(
    ("arguments", "kind", "complaint"),
    [
        (["."], DataError, "2 sequences need a folder"),
        ([".", "-o", "one.txt"], DataError, "-o one.txt: 2 sequences need a folder"),
        (["nowhere"], DataError, "nowhere: no such file"),
        (["bad.txt"], DataError, "bad.txt:2: 'x' is not a number"),
        (["park", "--preset", "sorty"], ConfigError, "no preset 'sorty'"),
        (["park", "--set", "high_scor=1"], ConfigError, "did you mean 'high_score'"),
        (["park", "--set", "high_score"], ConfigError, "this is not KEY=VALUE"),
        (["park", "--fps", "0"], DataError, "frames per second above 0"),
        (["park", "-o", "bad.txt/out.txt"], DataError, "bad.txt/out.txt: cannot be written"),
    ],
)
def test_mistakes(
    sequences: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    kind: type[Exception],
    complaint: str,
) -> None:
    monkeypatch.chdir(sequences)
    Path("bad.txt").write_text("1,-1,5,5,5,5,1\n1,-1,5,x,5,5,1\n")
    before = sorted(sequences.rglob("*"))
    outcome = _run(*arguments)
    assert isinstance(outcome.exception, kind)
    assert complaint in str(outcome.exception)
    assert sorted(sequences.rglob("*")) == before
