"""The scores of tracks as a page: how good, where identities change, what is missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from pipeline.evaluation.assessment import Assessment, Result
from pipeline.evaluation.bootstrap import Comparison
from pipeline.evaluation.evaluate import Rules
from pipeline.evaluation.hota import ALPHAS
from pipeline.evaluation.pictures import Shot
from pipeline.evaluation.report import SHOWN
from pipeline.evaluation.timeline import Lane
from pipeline.page import charts
from pipeline.page.rendering import render

_BARS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA")
_CURVES = {"HOTA": "second", "DetA": "first", "AssA": "third"}
_MOST_LANES = 40  # of a sequence
_MOST_ROWS = 300  # of a table
_HUES = 12  # in style.css
_SECTIONS = {
    "scores": "Scores",
    "comparison": "Comparison",
    "identities": "Identities",
    "switches": "Switches",
    "fragmentations": "Fragmentations",
    "false-tracks": "False tracks",
}


def eval_page(
    results: Sequence[Result],
    assessments: Sequence[Assessment],
    rules: Rules,
    shots: Mapping[str, Sequence[Shot]],
    comparison: Comparison | None = None,
) -> str:
    """One HTML file.

    Args:
        results: the result, and where there is one the result that it is compared with.
        assessments: of the first result, sequence by sequence.
        rules: under which all were scored.
        shots: pictures of switches, by sequence.
        comparison: of both results.
    """
    absent = {"comparison"} if comparison is None else set()
    return render(
        "evaluation.html",
        title="Tracking evaluation",
        sections=[item for item in _SECTIONS.items() if item[0] not in absent],
        footer=f"Rules: {rules.benchmark}; a box matches from an overlap of {rules.iou:g}.",
        results=results,
        rules=rules,
        shown=SHOWN,
        bar_names=_BARS,
        bars=_bars(results),
        curves=[_curves(result) for result in results],
        keys=_CURVES,
        comparison=comparison,
        timelines=[_timeline(one) for one in assessments],
        shots=[(name, shot) for name, found in shots.items() for shot in found],
        switches=_rows(assessments, "switches"),
        fragmentations=_rows(assessments, "fragmentations"),
        false_tracks=_rows(assessments, "false_tracks"),
        most=_MOST_ROWS,
    )


def _bars(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row for each sequence and result: each score with its bar."""
    return [
        {
            "sequence": sequence,
            "cells": [(summary[name], _bar(sequence, name, summary[name])) for name in _BARS],
        }
        for sequence in results[0].scores
        for summary in [result.scores[sequence].summary() for result in results]
    ]


def _bar(sequence: str, name: str, percent: float) -> Markup:
    return charts.bar(max(0.0, percent / 100), f"{name} of {sequence}: {percent:.1f}")


def _curves(result: Result) -> Markup:
    """HOTA and its two parts over the localisation thresholds, of all sequences together."""
    curves = list(result.scores.values())[-1].hota.curves()
    lines = {kind: curves[name].tolist() for name, kind in _CURVES.items()}
    return charts.curves(lines, f"{', '.join(_CURVES)} from {ALPHAS[0]:g} to {ALPHAS[-1]:.2g}")


def _timeline(one: Assessment) -> dict[str, Any]:
    """The lanes of a sequence, with colours that follow the tracks in order of appearance."""
    last = max((span.last for lane in one.lanes for span in lane.spans), default=1)
    tracks = sorted(
        (span.first, span.track)
        for lane in one.lanes
        for span in lane.spans
        if span.track is not None
    )
    places = {track: place for place, track in enumerate(dict.fromkeys(t for _, t in tracks))}
    return {
        "sequence": one.name,
        "last": last,
        "count": len(one.lanes),
        "lanes": [(lane, _lane(lane, places, last)) for lane in one.lanes[:_MOST_LANES]],
    }


def _lane(lane: Lane, places: Mapping[int, int], last: int) -> Markup:
    blocks = []
    for span in lane.spans:
        length = span.last - span.first + 1
        frames = f"frames {span.first} to {span.last}"
        if span.track is None:
            blocks.append(charts.Block(span.first - 1, length, 0.2, "first", f"missed, {frames}"))
        else:
            hue = f"hue-{places[span.track] % _HUES}"
            title = f"track {span.track}, {frames}"
            blocks.append(charts.Block(span.first - 1, length, 0.75, hue, title))
    for event in lane.switches:
        title = f"frame {event.frame}: {event.before} → {event.after}"
        blocks.append(charts.Block(event.frame - 1, last / 400, 1.0, "ink", title))
    return charts.skyline(blocks, f"object {lane.gt_id}", last)


def _rows(assessments: Sequence[Assessment], what: str) -> list[tuple[str, Any]]:
    """Each sequence's name with each of its events or tracks."""
    return [(one.name, row) for one in assessments for row in getattr(one, what)]
