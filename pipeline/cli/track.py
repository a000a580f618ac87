"""``sightline track``: a tracker on files of detections, without pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.config.tracker import track_spec
from pipeline.errors import DataError
from pipeline.evaluation.detection_files import DetectionFile, find_detections
from pipeline.evaluation.mot_files import mot_text, read_mot
from pipeline.evaluation.pairs import PLACEHOLDER, SequenceInfo
from pipeline.tracking.offline import TrackRun, track_table
from pipeline.tracking.spec import TrackSpec

_DEFAULT_FPS = 30.0
_STDOUT = "-"

Fps = Annotated[
    float | None,
    typer.Option(
        min=0, help="Frames per second; by default those of seqinfo.ini beside the file, else 30."
    ),
]
Preset = Annotated[
    str,
    typer.Option(help="sightline, sort, deepsort, bytetrack, ocsort, botsort or a YAML file."),
]

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Changes one key of the preset, such as high_score=0.5 or rounds.high.at_least=0.3; "
        "may be given again.",
    ),
]


def command(
    detections: Annotated[
        list[str],
        typer.Argument(
            metavar="DET...",
            help="MOTChallenge detections: a file, a sequence's folder (with det/det.txt), a "
            "folder of those, or a path with {seq} in it.",
            show_default=False,
        ),
    ],
    fps: Fps = None,
    preset: Preset = "sightline",
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="Where tracks go: a file, - for standard output; for several sequences a folder "
            "or a path with {seq} in it.",
        ),
    ] = _STDOUT,
    min_score: Annotated[
        float | None,
        typer.Option(help="Leaves out detections with less confidence, in the file's own unit."),
    ] = None,
    interpolate: Annotated[
        float, typer.Option(min=0, help="Fills gaps of tracks up to so long, seconds.")
    ] = 0.0,
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Smooths the tracks, and what fills their gaps.")
    ] = False,
    set_: Changes = None,
) -> None:
    """Gives the objects in files of detections their identities.

    Confidences may have any range. Frames without detections count as well.
    """
    spec = track_spec(preset, changes=set_ or ())
    files = find_detections(detections)
    targets = [_target(output, file.name, len(files)) for file in files]
    for file, target in zip(files, targets, strict=True):
        run = _tracked(file, spec, fps, min_score)
        if interpolate or smooth:
            run = run.interpolated(interpolate, "gaussian" if smooth else "linear")
        if target is None:
            typer.echo(mot_text(run.table), nl=False)
        else:
            run.write(target)
        _say(
            f"{file.name}: {run.frames} frames, {run.detections} detections, {run.tracks} tracks, "
            f"{run.frame_us:.0f} µs a frame"
        )


def frame_rate(name: str, info: SequenceInfo, fps: float | None) -> float:
    """The sequence's frame rate: as given, else as written beside it, else 30 with a note."""
    if fps is not None:
        return fps
    if info.fps is None:
        _say(f"{name}: {_DEFAULT_FPS:g} frames per second assumed; say others with --fps")
    return info.fps or _DEFAULT_FPS


def _tracked(
    file: DetectionFile, spec: TrackSpec, fps: float | None, min_score: float | None
) -> TrackRun:
    info = file.info()
    size = (info.width, info.height) if info.width and info.height else None
    rate = frame_rate(file.name, info, fps)
    return track_table(read_mot(file.path), rate, spec, min_score, size)


def _target(output: str, name: str, count: int) -> Path | None:
    """The file for a sequence's tracks, one of `count`; None for standard output."""
    if PLACEHOLDER in output:
        return Path(output.replace(PLACEHOLDER, name))
    if output != _STDOUT and (Path(output).is_dir() or output.endswith("/")):
        return Path(output) / f"{name}.txt"
    if count > 1:
        raise DataError(
            f"-o {output}: {count} sequences need a folder, such as out/, or a path with "
            f"{PLACEHOLDER} in it"
        )
    return None if output == _STDOUT else Path(output)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
