"""Whether a soak passed, by rules that are stated beside every figure.

Growth is the Theil-Sen slope, the median over all pairs of samples (P. K. Sen, "Estimates of the
Regression Coefficient Based on Kendall's Tau", JASA 63, 1968), times the time that was judged: a
garbage collection or a single jump does not move it, a leak does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import theilslopes

from benchmarks.soak.samples import Sample, drops
from benchmarks.soak.subject import Report

#: Of the whole time is left out at the beginning, and no more than so many seconds: caches fill,
#: allocators and thread pools find their size.
WARM_UP, WARM_UP_MAX_S = 1 / 3, 300.0
#: Memory may seem to grow by so much: of its median, or in MB, whichever is more.
MEMORY_SHARE, MEMORY_MB = 0.01, 3.0
#: A camera may miss so much of its nominal frames: the clocks of both sides are not one.
MISSED = 0.01
#: A machine as busy as this explains that frames are dropped for want of time.
BUSY = 0.95
#: Reasons by which frames are dropped for want of time.
OVERLOAD = ("queue_full", "stale")
#: More samples than this are thinned for the slope, whose cost is their number squared.
_MOST = 600


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement.

    Attributes:
        what: was judged.
        found: in words and figures.
        rule: that it was held against.
        passed: whether it holds.
    """

    what: str
    found: str
    rule: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """How a quantity went.

    Attributes:
        median: of all samples.
        per_hour: Theil-Sen slope.
        low: lower end of its 95 % confidence interval.
        high: upper end.
        growth: the slope times the time that was looked at.
    """

    median: float
    per_hour: float
    low: float
    high: float
    growth: float


def warm_up_s(seconds: float) -> float:
    """How much of a soak of so many seconds is not judged."""
    return min(seconds * WARM_UP, WARM_UP_MAX_S)


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """The samples behind the warm-up."""
    begin_s = warm_up_s(samples[-1].at_s)
    return [sample for sample in samples if sample.at_s >= begin_s]


def trend(samples: Sequence[Sample], of: Callable[[Sample], float]) -> Trend:
    """Of one quantity; at least three samples are needed."""
    thinned = samples[:: -(-len(samples) // _MOST)]
    hours = np.array([sample.at_s / 3600 for sample in thinned])
    values = np.array([of(sample) for sample in thinned])
    slope, _, low, high = theilslopes(values, hours)
    growth = slope * (hours[-1] - hours[0])
    return Trend(float(np.median(values)), float(slope), float(low), float(high), float(growth))


def findings(
    samples: Sequence[Sample], final: Report, code: int, fps: float | None
) -> list[Finding]:
    """All judgements on a soak.

    Args:
        samples: all of them, in order.
        final: the process's last report.
        code: its exit code.
        fps: nominal, of each camera; None where they came to harm and nothing is expected.
    """
    steady = settled(samples)
    return [
        _memory(trend(steady, lambda sample: sample.usage.rss_mb)),
        _share(trend(steady, lambda sample: sample.usage.pss_mb)),
        _count("descriptors", trend(steady, lambda sample: sample.usage.descriptors)),
        _count("threads", trend(steady, lambda sample: sample.usage.threads)),
        *([] if fps is None else [_rates(steady, fps)]),
        _load(steady, final),
        _ledger(final),
        *_drops(steady, final),
        Finding("end", f"exit code {code}", "0", code == 0),
    ]


def _memory(found: Trend) -> Finding:
    limit = max(MEMORY_MB, MEMORY_SHARE * found.median)
    rule = f"grows by at most {limit:.1f} MB"
    return Finding("memory (RSS)", _course(found), rule, found.growth <= limit)


def _share(found: Trend) -> Finding:
    """Not judged: it rises when another program ends that used the same libraries."""
    return Finding("memory (PSS)", _course(found), "is told", True)


def _course(found: Trend) -> str:
    return (
        f"{found.median:.0f} MB, grew by {found.growth:+.2f} MB: {found.per_hour:+.2f} MB an hour "
        f"({found.low:+.2f} to {found.high:+.2f})"
    )


def _count(what: str, found: Trend) -> Finding:
    text = f"{found.median:g}, grew by {found.growth:+.2f}"
    return Finding(what, text, "grow by less than 1", found.growth < 1)


def _rates(steady: Sequence[Sample], fps: float) -> Finding:
    first, last = steady[0], steady[-1]
    wanted = fps * (last.ran_s - first.ran_s)
    shares = {c: (n - first.entered.get(c, 0)) / wanted for c, n in last.entered.items()}
    least = min(shares, key=shares.__getitem__)
    return Finding(
        "frames that came",
        f"at least {shares[least]:.1%} of {fps:g} fps ({least})",
        f"{1 - MISSED:.0%} of every camera",
        shares[least] >= 1 - MISSED,
    )


def _load(steady: Sequence[Sample], final: Report) -> Finding:
    """What it took: processors, processor time a frame by stage, and the frames' age."""
    cores = trend(steady, lambda sample: sample.cores).median
    costs = (f"{stage['name']} {stage['cpu_ms']:.1f}" for stage in final.get("stages", ()))
    text = (
        f"{cores:.2f} processors busy; ms a frame: {', '.join(costs)}; "
        f"age at the output {steady[-1].age_p95_ms:.0f} ms (95th percentile)"
    )
    return Finding("load", text, "is told", True)


def _ledger(final: Report) -> Finding:
    entered = sum(account["entered"] for account in final["ledger"].values())
    emitted = sum(account["emitted"] for account in final["ledger"].values())
    missing = sum(abs(account["missing"]) for account in final["ledger"].values())
    dropped = sum(drops(final).values())
    text = f"{entered} in = {emitted} out + {dropped} dropped + {missing} missing"
    return Finding("ledger", text, "0 missing", final["finished"] and not missing)


def _drops(steady: Sequence[Sample], final: Report) -> list[Finding]:
    """Every drop behind the warm-up is explained by the load at its time, or not at all."""
    warming = Counter(steady[0].dropped)
    explained: Counter[str] = Counter()
    for before, sample in pairwise(steady):
        for reason, count in sample.dropped.items():
            if reason.split(": ")[1] in OVERLOAD and sample.machine >= BUSY:
                explained[reason] += count - before.dropped.get(reason, 0)
    unexplained = Counter(drops(final)) - warming - explained
    rule = (
        f"none but for want of time ({', '.join(OVERLOAD)}) while the machine is ≥{BUSY:.0%} busy"
    )
    return [
        Finding("drops in the warm-up", _listed(warming), "are told: it had busy neighbours", True),
        Finding("drops by load", _listed(+explained), "are told", True),
        Finding("unexplained drops", _listed(unexplained), rule, not unexplained),
    ]


def _listed(counts: Counter[str]) -> str:
    parts = [f"{reason} ×{count}" for reason, count in sorted(counts.items())]
    return f"{counts.total()} ({', '.join(parts)})" if parts else "0"
