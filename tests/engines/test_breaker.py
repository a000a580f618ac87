from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.breaker import CALM_S, MOST_S, Breaker

Call = Literal["allow", "failure", "success"]


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ([], "closed"),
        ([(0, "allow", True), (0, "success", False)], "closed"),
        ([(0, "failure", True)], "open"),
        ([(0, "failure", True), (0, "failure", False)], "open"),
        ([(0, "failure", True), (0.9, "allow", False)], "open"),
        ([(0, "failure", True), (1, "allow", True)], "half-open"),
        ([(0, "failure", True), (1, "allow", True), (1.9, "allow", False)], "half-open"),
        ([(0, "failure", True), (1, "allow", True), (2, "allow", True)], "half-open"),
        ([(0, "failure", True), (1, "allow", True), (1.1, "success", True)], "closed"),
        ([(0, "failure", True), (0.1, "success", True)], "closed"),
        ([(0, "failure", True), (1, "allow", True), (1.5, "failure", False)], "open"),
        # A failed trial doubles the wait, and so does a failure soon after the return.
        (
            [
                (0, "failure", True),
                (1, "allow", True),
                (1.5, "failure", False),
                (3.4, "allow", False),
                (3.5, "allow", True),
            ],
            "half-open",
        ),
        (
            [
                (0, "failure", True),
                (1, "allow", True),
                (1, "success", True),
                (2, "failure", True),
                (3.9, "allow", False),
                (4, "allow", True),
            ],
            "half-open",
        ),
        # What several workers find out at the same time is one failure.
        (
            [
                (0, "failure", True),
                (0.1, "failure", False),
                (0.9, "allow", False),
                (1, "allow", True),
            ],
            "half-open",
        ),
        # An engine that worked for long is trusted like a new one.
        (
            [
                (0, "failure", True),
                (1, "success", True),
                (1 + CALM_S, "failure", True),
                (1.9 + CALM_S, "allow", False),
                (2 + CALM_S, "allow", True),
            ],
            "half-open",
        ),
    ],
)
def test_history(history: list[tuple[float, Call, bool]], state: str) -> None:
    breaker = Breaker(retry_s=1)
    for now_s, call, told in history:
        answer = (
            breaker.failure(now_s, "hung") if call == "failure" else getattr(breaker, call)(now_s)
        )
        assert answer is told, (now_s, call)
    assert breaker.state == state
    assert breaker.closed == (state == "closed")


def test_the_last_reason_is_kept() -> None:
    breaker = Breaker()
    assert breaker.reason == ""
    breaker.failure(0, "hung")
    breaker.failure(1, "killed")
    breaker.success(2)
    assert breaker.reason == "killed"


@pytest.mark.parametrize(("retry_s", "most_s"), [(1, MOST_S), (100, 100)])
def test_the_wait_has_a_limit_however_often_it_fails(retry_s: float, most_s: float) -> None:
    breaker, now_s = Breaker(retry_s), 0.0
    for _ in range(2000):
        breaker.failure(now_s, "")
        now_s += most_s
        assert breaker.allow(now_s)
    breaker.failure(now_s, "")
    assert not breaker.allow(now_s + most_s - 0.1)


@given(
    st.floats(0.01, 30),
    st.lists(st.tuples(st.floats(0, 100), st.sampled_from(["allow", "failure", "success"]))),
)
def test_any_history(retry_s: float, steps: list[tuple[float, Call]]) -> None:
    """Trials are never closer than the first wait; every end of trust has its return."""
    breaker, now_s = Breaker(retry_s), 0.0
    lost = returned = 0
    failed_at_s = trial_at_s = float("-inf")
    for pause_s, call in steps:
        now_s += pause_s
        was_closed = breaker.closed
        if call == "allow":
            allowed = breaker.allow(now_s)
            assert allowed or not was_closed
            if allowed and not was_closed:
                assert now_s - max(failed_at_s, trial_at_s) >= retry_s * (1 - 1e-9)
                trial_at_s = now_s
        elif call == "failure":
            ended = breaker.failure(now_s, "")
            assert ended == was_closed
            assert not breaker.closed
            lost += ended
            failed_at_s = now_s if ended else failed_at_s
        else:
            returned += breaker.success(now_s)
            assert breaker.closed
    assert lost - returned == (not breaker.closed)


def test_failing_at_every_return_moves_less_and_less() -> None:
    breaker, moves = Breaker(retry_s=0.1), 0
    for tick in range(36_000):  # an hour, ten times a second
        if breaker.allow(tick / 10):
            breaker.success(tick / 10)
            moves += breaker.failure(tick / 10, "again")
    assert moves < 3600 / MOST_S + 15
