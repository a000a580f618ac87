"""The soak's verdict: on what grows, on what does not come, on what is dropped without a reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import psutil
import pytest

from benchmarks.soak.page import page, table
from benchmarks.soak.samples import Sample, Usage, usage
from benchmarks.soak.verdict import Finding, findings, settled
from tests.page.reading import read

EVERY_S, FPS = 5.0, 15


def samples(
    minutes: float = 30.0,
    *,
    rss: Callable[[float], float] = lambda at_s: 300.0,
    descriptors: Callable[[float], int] = lambda at_s: 12,
    fps: float = FPS,
    dropped: Callable[[float], dict[str, int]] = lambda at_s: {},
    machine: Callable[[float], float] = lambda at_s: 0.6,
) -> list[Sample]:
    times = np.arange(EVERY_S, minutes * 60 + 1, EVERY_S).tolist()
    return [
        Sample(
            at_s,
            at_s,
            Usage(rss(at_s), rss(at_s), descriptors(at_s), 26, at_s),
            1.0,
            machine(at_s),
            {"gate": round(at_s * fps)},
            round(at_s * fps),
            dropped(at_s),
            80.0,
            {},
        )
        for at_s in times
    ]


def final(entered: int = 1000, dropped: int = 0, missing: int = 0) -> dict:
    drops = [{"stage": "entrance", "reason": "queue_full", "frames": dropped}] if dropped else []
    emitted = entered - dropped - missing
    account = {"entered": entered, "emitted": emitted, "dropped": drops, "missing": missing}
    return {"finished": True, "ledger": {"gate": account}, "stages": []}


def missed(found: list[Finding]) -> list[str]:
    return [finding.what for finding in found if not finding.passed]


def noise(at_s: float) -> float:
    return float(np.random.default_rng(int(at_s)).normal(0, 2))


@pytest.mark.parametrize(
    ("rss", "leaks"),
    [
        (lambda t: 300.0, False),
        (lambda t: 300 + noise(t), False),
        (lambda t: 300 + 100 * min(t / 240, 1), False),  # caches that fill while it begins
        (lambda t: 300 + 40 * (t > 900), False),  # one step is no leak
        (lambda t: 300 - t / 60, False),
        (lambda t: 300 + noise(t) + 5 * t / 1500, True),
        (lambda t: 300 + 20 * (t % 300) / 300 + 12 * t / 3600, True),  # beneath a sawtooth
    ],
    ids=["flat", "noisy", "warming up", "step", "shrinking", "leaking", "leaking sawtooth"],
)
def test_memory(rss: Callable[[float], float], leaks: bool) -> None:
    found = findings(samples(rss=rss), final(), 0, FPS)
    assert missed(found) == (["memory (RSS)"] if leaks else [])


def test_a_descriptor_that_is_not_given_back() -> None:
    found = findings(samples(descriptors=lambda t: 12 + int(t // 300)), final(), 0, FPS)
    assert missed(found) == ["descriptors"]
    comes_and_goes = samples(descriptors=lambda t: 12 + int(t) % 10 // 5)
    assert missed(findings(comes_and_goes, final(), 0, FPS)) == []


def test_a_camera_that_gives_less_than_it_should() -> None:
    assert missed(findings(samples(fps=14.7), final(), 0, FPS)) == ["frames that came"]
    assert missed(findings(samples(fps=14.7), final(), 0, None)) == []  # harmed on purpose


def test_a_frame_without_an_end() -> None:
    assert missed(findings(samples(), final(missing=1), 0, FPS)) == ["ledger"]
    assert missed(findings(samples(), final() | {"finished": False}, 0, FPS)) == ["ledger"]


@pytest.mark.parametrize(
    ("reason", "machine", "explained"),
    [
        ("entrance: queue_full", 1.0, True),
        ("entrance: queue_full", 0.9, False),
        ("detect: stage_failed", 1.0, False),
    ],
)
def test_a_drop_is_explained_by_the_load_at_its_time(
    reason: str, machine: float, explained: bool
) -> None:
    stage, word = reason.split(": ")
    last = final(dropped=7)
    last["ledger"]["gate"]["dropped"] = [{"stage": stage, "reason": word, "frames": 7}]
    seen = samples(
        dropped=lambda t: {reason: 7} if t >= 600 else {},
        machine=lambda t: machine if t == 600 else 0.5,
    )
    found = findings(seen, last, 0, FPS)
    assert missed(found) == ([] if explained else ["unexplained drops"])
    told = next(
        f for f in found if f.what == ("drops by load" if explained else "unexplained drops")
    )
    assert told.found == f"7 ({reason} ×7)"


def test_what_is_dropped_while_it_warms_up_is_told() -> None:
    found = findings(
        samples(dropped=lambda t: {"entrance: queue_full": 7}), final(dropped=7), 0, FPS
    )
    assert missed(found) == []
    told = next(f for f in found if f.what == "drops in the warm-up")
    assert told.found == "7 (entrance: queue_full ×7)"


def test_it_must_end_well() -> None:
    assert missed(findings(samples(), final(), 1, FPS)) == ["end"]


def test_what_is_judged_begins_behind_the_warm_up() -> None:
    assert settled(samples(30))[0].at_s == 300.0  # five minutes of thirty
    assert settled(samples(3))[0].at_s == 60.0  # a third of three


def test_the_page_is_whole_and_the_table_says_the_same() -> None:
    found = findings(samples(), final(), 0, FPS)
    whole = read(page("Four <cameras>.", samples(), found))
    assert [row[0] for row in whole.rows[1:]] == [finding.what for finding in found]
    assert whole.listed("figcaption")[0] == "resident memory"
    assert table(found).count("| met |") == len(found)


def test_this_process_is_seen() -> None:
    seen = usage(psutil.Process())
    assert seen.rss_mb > seen.pss_mb > 1
    assert seen.threads >= 1
    assert seen.descriptors >= 3
