"""A soak as a page with its curves, and as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from benchmarks.soak.samples import Sample
from benchmarks.soak.verdict import Finding
from pipeline.page.charts import curves
from pipeline.page.rendering import render

#: A curve has this many points at most, each the median of what is near it.
_POINTS = 300


@dataclass(frozen=True, slots=True)
class Chart:
    """One curve: how it is drawn and what is written beside it."""

    what: str
    drawing: Markup
    top: str


def page(about: str, samples: Sequence[Sample], found: Sequence[Finding]) -> str:
    """An HTML page that is read offline.

    Args:
        about: what ran, on what.
        samples: all of them.
        found: the judgements.
    """
    minutes = samples[-1].at_s / 60
    return render(
        "soak.html",
        title=f"Soak of {minutes:.0f} minutes",
        about=about,
        passed=all(finding.passed for finding in found),
        findings=found,
        charts=_charts(samples),
        end=f"{minutes:.0f} min",
        sections=[("findings", "Findings"), ("curves", "Curves")],
        footer=f"{len(samples)} samples; each curve begins at 0.",
    )


def table(found: Sequence[Finding]) -> str:
    """The judgements as a Markdown table."""
    lines = [
        f"| {one.what} | {one.found} | {one.rule} | {'met' if one.passed else '**missed**'} |"
        for one in found
    ]
    return "\n".join(["| | found | rule | |", "|---|---|---|---|", *lines])


def _charts(samples: Sequence[Sample]) -> list[Chart]:
    pairs = list(pairwise(samples))
    fps = [
        (after.emitted - before.emitted) / max(after.ran_s - before.ran_s, 1e-9)
        for before, after in pairs
    ]

    def values(of: Callable[[Sample], float]) -> list[float]:
        return [of(sample) for sample in samples]

    return [
        _chart("resident memory", values(lambda s: s.usage.rss_mb), "MB"),
        _chart("open descriptors", values(lambda s: s.usage.descriptors), ""),
        _chart("threads", values(lambda s: s.usage.threads), ""),
        _chart("processors kept busy", values(lambda s: s.cores), "cores"),
        _chart("machine busy", values(lambda s: 100 * s.machine), "%"),
        _chart("frames put out", fps, "a second"),
        _chart("age at the output, 95th percentile so far", values(lambda s: s.age_p95_ms), "ms"),
        _chart("frames dropped", values(lambda s: sum(s.dropped.values())), "so far"),
        _chart("faults of the sources", values(lambda s: sum(s.faults.values())), "so far"),
    ]


def _chart(what: str, values: Sequence[float], unit: str) -> Chart:
    top = max(*values, 1e-9) if any(values) else 1.0
    parts = np.array_split(np.array(values), min(len(values), _POINTS))
    drawn = [float(np.median(part)) / top for part in parts]
    return Chart(what, curves({"second": drawn}, what), f"{top:.4g} {unit}".strip())
