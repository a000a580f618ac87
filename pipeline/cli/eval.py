"""``sightline eval``: scores tracks or detections against ground truth."""

from __future__ import annotations

import math
from typing import Annotated

import typer
from rich.console import Console

from pipeline.errors import DataError
from pipeline.evaluation import detection_ap
from pipeline.evaluation.evaluate import Rules, combine, evaluate
from pipeline.evaluation.mot_files import one_after_another
from pipeline.evaluation.pairs import Pair, find_pairs
from pipeline.evaluation.preprocess import Benchmark
from pipeline.evaluation.report import COMBINED, Limit, as_json, as_table, parse_limits


def command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="GT RESULT [GT RESULT]...",
            help="Ground truth (a file, a sequence's folder, or a folder of those) and result "
            "(a file, a folder with SEQUENCE.txt, or a path with {seq} in it).",
            show_default=False,
        ),
    ],
    benchmark: Annotated[
        Benchmark,
        typer.Option(help="Whose rules decide which rows count.", case_sensitive=False),
    ] = Benchmark.SIMPLE,
    classes: Annotated[
        str, typer.Option(help="Class numbers to score, such as 1,3; all if not given.")
    ] = "",
    gt_scale: Annotated[
        float, typer.Option(help="Multiplies the ground truth's boxes; for a resized video.")
    ] = 1.0,
    iou: Annotated[float, typer.Option(help="Overlap from which a box matches.")] = 0.5,
    detections: Annotated[
        bool, typer.Option("--detections", help="The results are detections: score their AP.")
    ] = False,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="SCORE=VALUE", help="Exit with 1 if a score is below."),
    ] = None,
    maximum: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="SCORE=VALUE", help="Exit with 1 if a score is above."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="All scores as JSON.")] = False,
) -> None:
    """Scores tracks with HOTA, MOTA and IDF1, or detections with average precision.

    Ratios are in percent. Several sequences are also scored as one; --min and --max look at that.
    """
    limits = parse_limits(minimum or [], is_minimum=True)
    limits += parse_limits(maximum or [], is_minimum=False)
    rules = Rules(benchmark, _class_numbers(classes), _within(iou, "--iou", 1.0))
    pairs = find_pairs(paths)
    score = _detection_summaries if detections else _track_summaries
    summaries = score(pairs, rules, _within(gt_scale, "--gt-scale", float("inf")))
    if json:
        typer.echo(as_json(summaries))
    else:
        Console().print(as_table(summaries))
    _hold(limits, list(summaries.values())[-1])


def _track_summaries(
    pairs: list[Pair], rules: Rules, gt_scale: float
) -> dict[str, dict[str, float]]:
    scores = {pair.name: evaluate(*pair.read(gt_scale), rules) for pair in pairs}
    if len(scores) > 1:
        scores[COMBINED] = combine(list(scores.values()))
    return {name: score.summary() for name, score in scores.items()}


def _detection_summaries(
    pairs: list[Pair], rules: Rules, gt_scale: float
) -> dict[str, dict[str, float]]:
    tables = {pair.name: pair.read(gt_scale) for pair in pairs}
    if len(tables) > 1:
        tables[COMBINED] = one_after_another(list(tables.values()))
    return {name: detection_ap.summary(*table, rules) for name, table in tables.items()}


def _hold(limits: list[Limit], scores: dict[str, float]) -> None:
    """Exits with 1, after saying why, if a score misses its limit."""
    missed = [text for limit in limits if (text := limit.misses(scores))]
    for text in missed:
        typer.echo(text, err=True)
    if missed:
        raise typer.Exit(1)


def _class_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise DataError(f"--classes: expected numbers such as 1,3, found {text!r}") from error


def _within(value: float, option: str, largest: float) -> float:
    """The value, if it is above 0 and not above `largest`."""
    if not 0 < value <= largest or math.isinf(value):
        limit = "" if math.isinf(largest) else f" and not above {largest:g}"
        raise DataError(f"{option}: expected a number above 0{limit}, found {value:g}")
    return value
