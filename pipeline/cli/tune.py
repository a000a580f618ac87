"""``sightline tune``: searches a tracker's parameters, and says honestly what they gained."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.track import Changes, Fps, Preset, frame_rate
from pipeline.errors import DataError
from pipeline.evaluation.evaluate import Rules
from pipeline.evaluation.mot_files import check_tracks
from pipeline.evaluation.pairs import Pair, find_pairs
from pipeline.evaluation.preprocess import Benchmark
from pipeline.tuning.account import account, preset_text
from pipeline.tuning.search import tune
from pipeline.tuning.search_space import ranges_of, value_of
from pipeline.tuning.trials import Base, Course, honest_gain, scorer


class Metric(StrEnum):
    """Scores of which more is better."""

    HOTA = "HOTA"
    DETA = "DetA"
    ASSA = "AssA"
    MOTA = "MOTA"
    IDF1 = "IDF1"


def command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="GT DET [GT DET]...",
            help="Ground truth and detections of the sequences, each as `sightline eval` takes "
            "ground truth and results.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the preset goes.", show_default=False)
    ],
    preset: Preset = "sightline",
    budget: Annotated[int, typer.Option(min=1, help="Candidates of a search.")] = 48,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance.")] = 0,
    metric: Annotated[
        Metric, typer.Option(help="What shall be high.", case_sensitive=False)
    ] = Metric.HOTA,
    keys: Annotated[
        str, typer.Option(help="What may change, such as high_score,max_lost_s; all if not given.")
    ] = "",
    fps: Fps = None,
    benchmark: Annotated[
        Benchmark,
        typer.Option(help="Whose rules decide which rows count.", case_sensitive=False),
    ] = Benchmark.SIMPLE,
    processes: Annotated[
        int, typer.Option(min=0, help="Side by side; 0: one a core. The result is the same.")
    ] = 0,
    set_: Changes = None,
) -> None:
    """Searches the parameters of a tracker on sequences, and writes them as a preset.

    What was chosen on a sequence is not scored on it: each sequence is also tracked with what was
    chosen on the others, and only that counts as a gain.
    """
    _check(output)
    base = Base(preset, tuple(set_ or ()))
    spec = base.at({})
    ranges = ranges_of(spec, [key.strip() for key in keys.split(",") if key.strip()])
    start = {key: value_of(spec, key) for key in ranges}
    rules = Rules(benchmark)
    courses = [_course(pair, fps) for pair in find_pairs(paths)]
    with scorer(courses, base, rules, processes or _cores()) as score:
        tuned = tune(
            start,
            ranges,
            len(courses),
            score,
            metric=metric,
            budget=budget,
            seed=seed,
            on_round=lambda done, of: print(f"round {done} of {of}", file=sys.stderr),
        )
    gain = honest_gain(tuned, start, courses, base, rules, metric)
    text = account(tuned, start, [course.name for course in courses], metric, gain)
    made = f"Made by `sightline tune` of {preset}: {budget} candidates a search, seed {seed}.\n"
    changed = {key: value for key, value in tuned.point.items() if value != start[key]}
    _write(output, preset_text(base.at(changed), made + text))
    typer.echo(text + f"{output}: use it with --preset {output}, or as `preset:` of a stage track")


def _course(pair: Pair, fps: float | None) -> Course:
    gt, seen = pair.read()
    info = pair.info()
    size = (info.width, info.height) if info.width and info.height else None
    return Course(pair.name, check_tracks(gt), seen, frame_rate(pair.name, info, fps), size)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _check(path: Path) -> None:
    """Refuses a file that could not be written or used, before the work is done."""
    if path.suffix not in (".yaml", ".yml"):
        raise DataError(f"-o {path}: a preset's file ends in .yaml")
    if not path.parent.is_dir():
        raise DataError(f"-o {path}: there is no folder {path.parent}; make it first")


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
