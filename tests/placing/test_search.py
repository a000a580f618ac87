"""The search finds what trying everything finds, and the model says what a slow reference says."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.placing.model import Goal, Option, Placement, Step, Use, predict
from pipeline.placing.search import Search

CORES = 2
ms = st.integers(1, 40).map(float)


@st.composite
def chains(draw: st.DrawFn, most: int = 4) -> list[Step]:
    """A chain of stages; of any two engines that share a device, and of some on the processors."""
    steps: list[Step] = []
    for index in range(draw(st.integers(1, most))):
        uses = {}
        for engine in draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)):
            alone = draw(ms)
            times = {1: alone, 2: draw(st.sampled_from([alone, alone / 2]))}
            uses[engine] = Use(times, draw(ms), {"a": "npu0", "b": "npu0"}.get(engine, ""))
        options = tuple(Option(engine, n) for engine in uses for n in (1, 2))
        steps.append(Step(f"s{index}", (f"s{index - 1}",), uses, options))
    return steps


def written(steps: list[Step]) -> Placement:
    return {step.name: step.options[-1] for step in steps}


def every(steps: list[Step]) -> list[Placement]:
    names = [step.name for step in steps]
    return [dict(zip(names, o, strict=True)) for o in product(*(step.options for step in steps))]


def slow_period_ms(steps: list[Step], placement: Placement) -> float:
    """The same bound, read off a list of what each frame takes of what."""
    taken: list[tuple[str, float]] = []
    for step in steps:
        engine, workers = placement[step.name]
        use = step.uses[engine]
        taken.append((f"stage {step.name}", use.ms[workers]))
        taken += [("processor", use.cpu_ms / CORES)]
        taken += [(use.device, min(use.ms.values()))] if use.device else []
    return max(sum(t for name, t in taken if name == one) for one, _ in taken)


@given(chains())
def test_the_model_is_the_busiest_of_all(steps: list[Step]) -> None:
    for placement in every(steps):
        found = predict(steps, placement, CORES)
        assert found.period_ms == pytest.approx(slow_period_ms(steps, placement))
        chain = sum(step.uses[placement[step.name].engine].ms[1] for step in steps)
        assert found.latency_ms == pytest.approx(chain)


@given(chains(), st.sampled_from(["throughput", "latency"]))
def test_it_finds_the_best_of_all(steps: list[Step], goal: Goal) -> None:
    search = Search(steps, written(steps), CORES, goal)
    best = search.best(3)
    keys = sorted(search.key(placement) for placement in every(steps))
    assert search.key(best[0]) == keys[0]
    assert len(set(keys)) == len(keys), "two placements must never be equally good"
    engines = [_engines(one) for one in best]
    assert len(set(engines)) == len(engines) == min(3, len({_engines(p) for p in every(steps)}))
    assert [search.key(one) for one in best] == sorted(search.key(one) for one in best)


def _engines(placement: Placement) -> tuple[str, ...]:
    return tuple(option.engine for option in placement.values())


@given(chains(most=5))
def test_where_there_are_too_many_no_single_change_is_better(steps: list[Step]) -> None:
    search = Search(steps, written(steps), CORES)
    best = search.best(1, most=0)[0]
    assert search.key(best) <= search.key(written(steps))
    for step in steps:
        for option in step.options:
            assert search.key(best) <= search.key({**best, step.name: option})


def test_engines_of_one_device_take_turns() -> None:
    uses = {"npu0": Use({1: 10.0, 2: 5.0}, 1.0, "npu0"), "cpu0": Use({1: 12.0, 2: 12.0}, 1.0)}
    options = (Option("npu0", 2), Option("cpu0", 2))
    steps = [Step("one", (), uses, options), Step("two", ("one",), uses, options)]
    shared = predict(steps, {"one": options[0], "two": options[0]}, CORES)
    assert (shared.period_ms, shared.limit) == (10.0, "device npu0")
    apart = predict(steps, {"one": options[0], "two": options[1]}, CORES)
    assert (apart.period_ms, apart.limit) == (12.0, "stage two")


def test_branches_are_as_late_as_the_slower_one_and_batches_wait() -> None:
    def step(name: str, took_ms: float, *after: str, wait_ms: float = 0.0) -> Step:
        use = {"": Use({1: took_ms}, took_ms)}
        return Step(name, after, use, (Option("", 1),), wait_ms)

    steps = [
        Step("decode", (), {"": Use({1: 50.0}, 1.0)}, (Option("", 1),), timed=False),
        step("split", 1.0, "decode"),
        step("left", 10.0, "split"),
        step("right", 2.0, "split", wait_ms=20.0),
        step("merge", 3.0, "left", "right"),
    ]
    placement = {one.name: one.options[0] for one in steps}
    assert predict(steps, placement, CORES).latency_ms == 1 + 20 + 2 + 3


def test_of_equals_the_one_that_changes_least_comes_first() -> None:
    uses = {name: Use({1: 5.0}, 5.0) for name in "ab"}
    steps = [Step("s", (), uses, (Option("a", 1), Option("b", 1)))]
    best = Search(steps, {"s": Option("b", 1)}, CORES).best(2)
    assert [one["s"].engine for one in best] == ["b", "a"]


def test_what_waits_for_itself_is_as_slow_as_all_of_its_loop() -> None:
    def step(name: str, took_ms: float, loops: int) -> Step:
        use = Use({1: took_ms, 2: took_ms / 2}, 0.1)
        return Step(name, (), {"": use}, (Option("", 2),), loop="kalman", loops=loops)

    for cameras, period_ms in ((1, 9.0), (2, 4.5), (9, 2.5)):
        steps = [step("kalman", 4.0, cameras), step("screening", 5.0, cameras)]
        found = predict(steps, {one.name: one.options[0] for one in steps}, CORES)
        assert found.period_ms == pytest.approx(period_ms)
