"""Which choice is taken, and which layers stay in float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import pytest

from engines.sim_npu.compiler.compile import Choice, Prepared, prepare
from pipeline.quantisation.quality import Quality
from pipeline.quantisation.search import Trial, best, choices, search, together
from tests.engines.sim_npu.compiler import drawn


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Ten convolutions, each with a rectifier behind it."""
    drawing = drawn.Drawing(3)
    for _ in range(10):
        drawing.conv()
        drawing.relu()
    onnx.save(drawing.model(), tmp_path / "ten.onnx")
    return prepare(tmp_path / "ten.onnx", [drawn.image()])


def _trial(choice: Choice, value: float, finer: float = 0.0) -> Trial:
    return Trial(choice, {}, Quality(value, finer, {}), 0.0, 1, 0, 2, 0)


def _attempt(value: Callable[[Choice], float]) -> Callable[[Choice], Trial]:
    return lambda choice: _trial(choice, value(choice))


def _convs(prepared: Prepared) -> list[str]:
    return [node.output[0] for node in prepared.model.graph.node if node.op_type == "Conv"]


def _unasked(choice: Choice) -> Sequence[Sequence[str]]:
    raise AssertionError("nobody is to blame")


def test_all_methods_are_tried_per_channel_first() -> None:
    first = choices(Choice(rounding="float"), None, None)
    pairs = [(choice.method, choice.per_channel) for choice in first]
    methods = ("min-max", "percentile", "entropy")
    assert pairs == [(method, scale) for scale in (True, False) for method in methods]
    assert {choice.rounding for choice in first} == {"float"}
    assert choices(Choice(), "entropy", False) == [Choice("entropy", False)]


def test_the_best_of_the_first_is_enough(prepared: Prepared) -> None:
    values = {"min-max": 0.7, "percentile": 0.99, "entropy": 0.98}
    attempt = _attempt(lambda choice: values[choice.method])
    first = choices(Choice(), None, True)
    trials = search(prepared, first, attempt, _unasked, 0.97)
    assert [trial.choice for trial in trials] == first
    assert best(trials, 0.97).choice.method == "percentile"


@pytest.mark.parametrize(
    ("needed", "tried"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 4, 3]), (4, [1, 2, 4, 3])]
)
def test_no_more_layers_than_needed_stay_in_float(
    prepared: Prepared, needed: int, tried: list[int]
) -> None:
    worst = _convs(prepared)[::-1]
    guilty = set(worst[:needed])
    attempt = _attempt(lambda choice: 1.0 if guilty <= choice.keep_float else 0.5)
    trials = search(prepared, [Choice()], attempt, lambda _: [[name] for name in worst], 0.97)
    counts = [len(trial.choice.keep_float.intersection(worst)) for trial in trials[1:]]
    assert counts == tried
    taken = best(trials, 0.97).choice.keep_float
    assert taken.intersection(worst) == guilty


def test_nothing_is_tried_twice(prepared: Prepared) -> None:
    first, second, *others = _convs(prepared)
    attempt = _attempt(lambda choice: 1.0 if others[0] in choice.keep_float else 0.5)
    ranked = [[first], [first, second], [second], *([name] for name in others)]
    trials = search(prepared, [Choice()], attempt, lambda _: ranked, 0.97)
    sets = [trial.choice.keep_float for trial in trials]
    assert len(set(sets)) == len(sets) == 4  # none; 1; 2 and 3 alike; 4
    assert best(trials, 0.97) is trials[-1]


def test_half_of_the_layers_is_the_most(prepared: Prepared) -> None:
    worst = _convs(prepared)
    trials = search(
        prepared,
        [Choice()],
        _attempt(lambda choice: 0.5),
        lambda _: [[name] for name in worst],
        0.9,
    )
    assert [len(t.choice.keep_float.intersection(worst)) for t in trials] == [0, 1, 2, 4]
    assert best(trials, 0.9) is trials[0]


def test_what_the_user_keeps_in_float_stays_there(prepared: Prepared) -> None:
    names = _convs(prepared)
    kept = frozenset(names[4:5])
    trials = search(
        prepared, [Choice(keep_float=kept)], _attempt(lambda c: len(c.keep_float) / 4),
        lambda _: [[name] for name in names], 1.0,
    )  # fmt: skip
    assert all(kept <= trial.choice.keep_float for trial in trials)


def test_what_follows_a_layer_in_float_alone_follows_it(tmp_path: Path) -> None:
    drawing = drawn.Drawing(3)
    drawing.conv()  # t0
    drawing.relu()  # t1
    drawing.skip()  # t2 of t1, and their sum t3
    drawing.conv()  # t4
    model = drawing.model()
    assert together(model, ["t0"]) == {"t0", "t1"}
    assert together(model, ["t0", "t2"]) == {"t0", "t1", "t2", "t3"}
    assert together(model, ["t2"]) == {"t2"}  # the sum also takes what is on the device
    assert together(model, ()) == frozenset()


def test_of_those_good_enough_the_one_with_fewest_in_float_is_best() -> None:
    one, two = (Choice(keep_float=frozenset("abc"[:n])) for n in (1, 2))
    trials = [_trial(Choice(), 0.9), _trial(two, 1.0), _trial(one, 0.98), _trial(one, 0.99, 0.1)]
    assert best(trials, 0.97) is trials[3]
    assert best(trials[:1], 0.97) is trials[0]
