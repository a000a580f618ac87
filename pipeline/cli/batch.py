"""``sightline batch``: many videos into a folder of results."""

from __future__ import annotations

import json as json_text
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipeline.batch.batch import run_batch
from pipeline.batch.estimate import Estimate, estimate
from pipeline.batch.outcome import BatchReport
from pipeline.batch.report.page import REPORT
from pipeline.batch.settings import load
from pipeline.batch.work import Halt
from pipeline.cli.batch_progress import batch_progress, length, plain
from pipeline.cli.console import console, numbers
from pipeline.cli.options import Config, Json, Set, ShownAs
from pipeline.cli.progress import Style
from pipeline.daemon.signals import ended_by_signals
from pipeline.page.numbers import clock, decimal, quantity, share

_MOST_LISTED = 50


def _processes(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise typer.BadParameter("expected a number from 1 to 256, or auto")
    return int(text)


def command(
    config: Config,
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Videos: files, folders, globs in quotes, http(s) URLs; - for a list on stdin.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder of the results.", show_default=False)
    ],
    processes: Annotated[
        str, typer.Option(help="That work at once; auto: one a core.", metavar="N|auto")
    ] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Makes everything anew, whatever is there.")
    ] = False,
    only_failed: Annotated[
        bool, typer.Option("--only-failed", help="Takes only what failed in the last run.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Probes, and estimates time and disk from ten seconds of video."
        ),
    ] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
    style: ShownAs = "auto",
    set_: Set = None,
) -> None:
    """Makes the results of many videos: tracks, events, tables and a report, in one folder.

    Run again, it goes on where it ended, however that was; what is complete is kept. The same
    videos and configuration always give the same bytes.

    The first Ctrl-C ends in order, the second one at once. Exit codes: 0 fine, 3 inputs failed,
    1 it could not go on, 2 wrong usage, 130 interrupted.
    """
    if force and only_failed:
        raise typer.BadParameter("--force makes everything anew; leave it or --only-failed out")
    checked, halt, count = load(config, set_ or ()), Halt(), _processes(processes)
    shown = Style.JSON if json else Style.NONE if quiet else Style(style)
    with batch_progress(shown) as observer, ended_by_signals(halt.stop, halt.abort):
        found: Estimate | BatchReport
        if dry_run:
            found = estimate(checked, inputs, output, processes=count, observer=observer, halt=halt)
        else:
            found = run_batch(
                *(checked, inputs, output),
                processes=count,
                force=force,
                only_failed=only_failed,
                observer=observer,
                halt=halt,
            )
    if isinstance(found, Estimate):
        _show_estimate(found, output, json)
        return
    if json:
        typer.echo(json_text.dumps({"type": "report", **found.to_json()}))
    elif not quiet:
        typer.echo(_summary(found))
    if found.ended_early and not json:
        typer.echo(f"{found.ended_early}; the same command goes on from here", err=True)
    raise typer.Exit(found.exit_code)


def _summary(report: BatchReport) -> str:
    """A finished run for people."""
    run = report.run
    lines = [
        f"{len(report.complete)} videos complete, {len(report.made)} of them made now, "
        f"{len(report.failed)} failed"
    ]
    lines += [f"  {clip}: {error}" for clip, error in list(report.failed.items())[:_MOST_LISTED]]
    if report.made:
        lines.append(
            f"{run['frames']} frames, {clock(run['video_s'])} of video in {clock(run['wall_s'])}: "
            f"{run['fps']:.1f} fps, {decimal(run['speed'])} × real time; "
            f"{share(run['efficiency'])} of the ideal on {run['cores']} cores; "
            f"{quantity(run['peak_bytes'], 'B')} of memory at most"
            + (f"; the bottleneck is {run['bottleneck']}" if run["bottleneck"] else "")
        )
    lines += [f"a process died and was started anew: {how}" for how in run["restarts"]]
    if (report.out / REPORT).is_file():
        lines.append(f"see {report.out / REPORT}")
    return "\n".join(lines)


def _show_estimate(found: Estimate, output: Path, json: bool) -> None:
    if json:
        told = asdict(replace(found, clips=())) | {"frames": found.frames}
        clips = [plain(clip) for clip in found.clips]
        typer.echo(json_text.dumps({"type": "estimate", **told, "clips": clips}))
        return
    table = Table("video", *numbers("frames", "length", "size"), "", box=SIMPLE_HEAD)
    for clip in found.clips[:_MOST_LISTED]:
        what = clip.error or ("complete" if clip.name in found.complete else "")
        size = quantity(clip.size or None, "B")
        table.add_row(clip.name, str(clip.frames or "?"), length(clip), size, what)
    console().print(table)
    if len(found.clips) > _MOST_LISTED:
        typer.echo(f"and {len(found.clips) - _MOST_LISTED} more")
    frames = "?" if found.frames is None else found.frames
    typer.echo(
        f"{len(found.todo)} of {len(found.clips)} videos to do: {frames} frames, "
        f"{found.video_s / 3600:.2f} hours"
    )
    if found.time_s is not None:
        free = shutil.disk_usage(_there(output)).free
        typer.echo(
            f"by the beginning of {found.measured}: about {clock(found.time_s)} and "
            f"{quantity(found.disk_bytes, 'B')} of the {quantity(free, 'B')} that are free"
        )


def _there(path: Path) -> Path:
    """The nearest folder around a path that is there."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
