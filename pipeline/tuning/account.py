"""What a search found, for people: the scores side by side, and the preset that it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import yaml

from pipeline.evaluation.bootstrap import Difference
from pipeline.evaluation.evaluate import Scores, combine
from pipeline.evaluation.report import COMBINED
from pipeline.tracking import presets
from pipeline.tracking.spec import TrackSpec
from pipeline.tuning.search import Tuned
from pipeline.tuning.search_space import Point

_WIDTH = 98


def account(
    tuned: Tuned, start: Point, names: Sequence[str], metric: str, gain: Difference | None
) -> str:
    """What was changed, what each sequence scores, and what that is worth.

    Args:
        tuned: what the search found.
        start: the point where it began.
        names: of the sequences.
        metric: that was to be high.
        gain: on sequences that were not looked at; None of one sequence.
    """
    changes = [f"{k} {start[k]} → {v}" for k, v in tuned.point.items() if v != start[k]]
    changed = f"Changed: {', '.join(changes)}." if changes else "Nothing scored higher."
    parts = [
        fill(changed, _WIDTH),
        _table(tuned, names, metric),
        fill(_verdict(gain, metric), _WIDTH),
    ]
    return "\n".join(parts) + "\n"


def preset_text(spec: TrackSpec, comment: str) -> str:
    """A tracker as the text of a preset's file: the preset it builds on, and what is different."""
    preset = spec.preset
    if preset not in presets.NAMES:
        preset = presets.read(preset).get("preset", presets.DEFAULT)
    original = TrackSpec(preset=preset).model_dump(mode="json")
    keys = {"preset": preset} | _changed(
        original, spec.model_dump(mode="json") | {"preset": preset}
    )
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + yaml.safe_dump(keys, sort_keys=False)


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What is different in `new`; of mappings only their different keys."""
    return {
        key: _changed(old[key], value) if isinstance(value, dict) and key in old else value
        for key, value in new.items()
        if key not in old or value != old[key]
    }


def _verdict(gain: Difference | None, metric: str) -> str:
    if gain is None:
        return (
            "This is one sequence, and the parameters were chosen on it: nothing is known about "
            "others, so no gain is claimed. Give two sequences or more."
        )
    on_unseen = f"On sequences that the parameters were not chosen on, {metric}"
    if gain.difference <= 0:
        return f"{on_unseen} changes by {gain.difference:+.2f}: keep the preset."
    if gain.low is None or gain.high is None:
        return f"{on_unseen} gains {gain.difference:.2f}, on too few objects to tell from chance."
    interval = f"95 % interval {gain.low:.2f} … {gain.high:.2f}"
    chance = "" if gain.low > 0 else ", which may be chance"
    return f"{on_unseen} gains {gain.difference:.2f}{chance} ({interval})."


def _table(tuned: Tuned, names: Sequence[str], metric: str) -> str:
    """A line a sequence, and one for all: before, tuned on the others, tuned on all."""
    columns = [tuned.before, tuned.unseen, tuned.after]
    width = max(len(name) for name in (*names, COMBINED, metric))
    lines = [f"{metric:{width}}  {'before':>10}  {'unseen':>10}  {'chosen on':>10}"]
    for number, name in enumerate(names):
        lines.append(
            _line(name, width, metric, [column[number : number + 1] for column in columns])
        )
    if len(names) > 1:
        lines.append(_line(COMBINED, width, metric, columns))
    return "\n".join(lines)


def _line(name: str, width: int, metric: str, columns: Sequence[Sequence[Scores]]) -> str:
    cells = (f"{_value(scores, metric):10.2f}" if scores else f"{'–':>10}" for scores in columns)
    return f"{name:{width}}  " + "  ".join(cells)


def _value(scores: Sequence[Scores], metric: str) -> float:
    return combine(scores).summary()[metric]
