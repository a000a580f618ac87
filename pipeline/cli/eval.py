"""``sightline eval``: scores tracks or detections against ground truth."""

from __future__ import annotations

import json as json_text
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipeline.cli.console import console, numbers
from pipeline.cli.options import Json
from pipeline.cli.pages import write_page
from pipeline.errors import DataError, SourceError
from pipeline.evaluation import detection_ap
from pipeline.evaluation.assessment import Assessment, Result, assess, read_result
from pipeline.evaluation.bootstrap import FEWEST_UNITS, Comparison, compare_sequences
from pipeline.evaluation.eval_page import eval_page
from pipeline.evaluation.evaluate import Rules
from pipeline.evaluation.mot_files import one_after_another
from pipeline.evaluation.pairs import PLACEHOLDER, Pair, find_pairs
from pipeline.evaluation.pictures import Shot, shots
from pipeline.evaluation.preprocess import Benchmark
from pipeline.evaluation.report import (
    COMBINED,
    Limit,
    Summaries,
    as_plain,
    as_table,
    parse_limits,
)

_FPS = 25.0  # of a sequence that does not say


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
    against: Annotated[
        str,
        typer.Option(metavar="RESULT", help="Another result, written as RESULT, to compare with."),
    ] = "",
    html: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="A page with all of it; readable offline.")
    ] = None,
    pictures: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="Video or folder of images for the page; {seq} stands for the sequence.",
        ),
    ] = "",
    max_pictures: Annotated[
        int, typer.Option(min=1, help="At most so many pictures of each sequence.")
    ] = 12,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="SCORE=VALUE", help="Exit with 1 if a score is below."),
    ] = None,
    maximum: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="SCORE=VALUE", help="Exit with 1 if a score is above."),
    ] = None,
    json: Json = False,
) -> None:
    """Scores tracks with HOTA, MOTA and IDF1, or detections with average precision.

    Ratios are in percent. Several sequences are also scored as one; --min and --max look at that.
    """
    limits = parse_limits(minimum or [], is_minimum=True)
    limits += parse_limits(maximum or [], is_minimum=False)
    rules = Rules(benchmark, _class_numbers(classes), _within(iou, "--iou", 1.0))
    scale = _within(gt_scale, "--gt-scale", float("inf"))
    pairs = find_pairs(paths)
    if detections:
        if against or html or pictures:
            raise DataError(
                "--against, --html and --pictures are about tracks; leave out --detections"
            )
        summaries: Summaries = _detection_summaries(pairs, rules, scale)
        if json:
            typer.echo(_json(as_plain(summaries)))
        else:
            console().print(as_table(summaries))
    else:
        _check_pictures(pictures, pairs, html)
        results = [read_result(" ".join(paths[1::2]), pairs, rules, scale)]
        if against:
            others = [pair.against(against) for pair in pairs]
            results.append(read_result(against, others, rules, scale))
        comparison = _compare(pairs, results, rules)
        _print(results, comparison, as_json=json)
        if html:
            told = [assess(*item, rules) for item in results[0].sequences.items()]
            found = _shots(pairs, told, pictures, max_pictures, scale) if pictures else {}
            write_page(html, eval_page(results, told, rules, found, comparison))
        summaries = results[0].summaries
    _hold(limits, list(summaries.values())[-1])


def _compare(pairs: list[Pair], results: list[Result], rules: Rules) -> Comparison | None:
    if len(results) < 2:
        return None
    one, other = (result.sequences for result in results)
    rates = {pair.name: pair.info().fps or _FPS for pair in pairs}
    return compare_sequences(((one[n], other[n], fps) for n, fps in rates.items()), rules)


def _print(results: list[Result], comparison: Comparison | None, *, as_json: bool) -> None:
    if as_json:
        found: Mapping[str, object] = as_plain(results[0].summaries)
        if comparison is not None:
            against = as_plain(results[1].summaries)
            found = {"result": found, "against": against, "comparison": asdict(comparison)}
        typer.echo(_json(found))
        return
    for letter, result in zip("AB", results, strict=False):
        if comparison is not None:
            typer.echo(f"{letter}: {result.name}")
        console().print(as_table(result.summaries))
    if comparison is not None:
        few = "; too few for intervals" if comparison.units < FEWEST_UNITS else ""
        typer.echo(f"A − B, over {comparison.units} {comparison.unit}{few}:")
        console().print(_differences(comparison))


def _differences(comparison: Comparison) -> Table:
    columns = numbers("A", "B", "A − B", "95 % interval", "A better")
    table = Table("score", *columns, box=SIMPLE_HEAD)
    for name, one in comparison.differences.items():
        table.add_row(name, *one.texts)
    return table


def _check_pictures(pictures: str, pairs: list[Pair], html: Path | None) -> None:
    if pictures and html is None:
        raise DataError("--pictures are for the page; add --html PAGE")
    if pictures and len(pairs) > 1 and PLACEHOLDER not in pictures:
        raise DataError(
            f"--pictures {pictures}: there are {len(pairs)} sequences; write {PLACEHOLDER} where "
            "the name of each goes"
        )


def _shots(
    pairs: list[Pair], assessments: list[Assessment], pictures: str, most: int, gt_scale: float
) -> dict[str, list[Shot]]:
    """Pictures of the first switches of each sequence; says which sequence has none, and why."""
    found = {}
    for pair, told in zip(pairs, assessments, strict=True):
        width = pair.info().width
        scaled = None if width is None else width * gt_scale
        wanted = told.switches[:most]
        try:
            found[pair.name] = shots(
                pictures.replace(PLACEHOLDER, pair.name), wanted, told.sequence, scaled
            )
        except SourceError as error:
            typer.echo(f"{pair.name}: no pictures: {error}", err=True)
    return found


def _detection_summaries(
    pairs: list[Pair], rules: Rules, gt_scale: float
) -> dict[str, dict[str, float]]:
    tables = {pair.name: pair.read(gt_scale) for pair in pairs}
    if len(tables) > 1:
        tables[COMBINED] = one_after_another(list(tables.values()))
    return {name: detection_ap.summary(*table, rules) for name, table in tables.items()}


def _hold(limits: list[Limit], scores: Mapping[str, float]) -> None:
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


def _json(found: object) -> str:
    return json_text.dumps(found, indent=2)
