from __future__ import annotations

from engines.isolation.restarts import Budget, Restart, together


def test_a_budget_is_granted_at_once_and_what_is_beyond_it_waits() -> None:
    budget = Budget(restarts=2, window_s=60.0, wait_s=30.0)
    assert [budget.spend(at_s) for at_s in (0.0, 1.0)] == [0.0, 0.0]
    assert budget.spend(2.0) == 30.0  # and so happens at 32
    assert budget.spend(40.0) == 30.0
    assert str(budget) == "2 restarts in 60 s"


def test_what_was_long_ago_is_forgotten() -> None:
    budget = Budget(restarts=2, window_s=60.0, wait_s=30.0)
    assert [budget.spend(at_s) for at_s in (0.0, 50.0, 70.0, 115.0)] == [0.0] * 4


def test_restarts_of_one_thing_add_up_and_the_last_reason_stays() -> None:
    one = Restart("engine a", 2, "it died", utc_ns=10)
    other = Restart("engine a", 1, "it hung", utc_ns=20)
    never = Restart("engine b")
    assert together([one, never, other]) == (Restart("engine a", 3, "it hung", 20),)
    assert together([other, one]) == (Restart("engine a", 3, "it hung", 20),)


def test_again_counts_and_dates() -> None:
    restart = Restart("engine a").again("it died").again("it hung")
    assert (restart.count, restart.reason) == (2, "it hung")
    assert restart.utc_ns > 1_700_000_000_000_000_000
