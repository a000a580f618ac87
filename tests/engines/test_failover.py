from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import Engine, EngineError, ForwardError, Kernel, Network, TensorError
from engines.breaker import Breaker
from engines.errors import EngineUnavailable, ProgramError
from engines.failover import Candidate, Failover
from engines.isolation.isolated import isolated
from tests.engines.faulty import FaultyEngine, FaultyOptions, order
from tests.engines.processes import children
from tests.engines.subjects import expected_features, picture, small_network


class Bench:
    """Engines a, b, … with orders of their own, and a clock that is moved by hand."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.folder = folder
        self.now_s = 0.0
        self._opened: list[Failover] = []

    def candidate(self, name: str, *, timeout_s: float | None = None) -> Candidate:
        """In this process where it has no timeout."""
        options = FaultyOptions(orders=str(self.folder / name))
        make: Callable[[], Engine] = partial(FaultyEngine, name, "cpu", options)
        if timeout_s is not None:
            make = partial(isolated(FaultyEngine), name, "cpu", options, "", timeout_s)
        return Candidate(name, make, self.network, Breaker(retry_s=1))

    def order(
        self, name: str, fault: str, call: str = "forward", after: int = 0, times: int = 1
    ) -> None:
        order(self.folder / name, call, fault, after, times)

    def opened(self, *candidates: Candidate) -> Failover:
        failover = Failover(candidates, lambda: self.now_s)
        self._opened.append(failover)
        failover.open()
        return failover

    def close(self) -> None:
        for failover in self._opened:
            failover.close()


@pytest.fixture
def bench(network: Network, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(network, tmp_path)
    yield bench
    bench.close()
    assert children() == []


def ran_on(failover: Failover) -> str:
    """Runs once, checks the result, and gives the engine that made it."""
    features = failover.run({"image": picture()})["features"]
    np.testing.assert_allclose(features, expected_features(picture()), atol=1e-4)
    return failover.engine_id


@pytest.mark.parametrize("fault", ["raise", "nan"])
def test_the_same_input_runs_on_the_next_engine(fault: str, bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a"), bench.candidate("b"))
    assert ran_on(failover) == "a"
    assert (failover.counts(), failover.reasons()) == ({}, {})
    bench.order("a", fault)
    assert [ran_on(failover) for _ in range(3)] == ["b", "b", "b"]
    assert failover.counts() == {"a failed": 1}
    assert list(failover.reasons()) == ["a"]
    bench.now_s = 1.0
    assert [ran_on(failover) for _ in range(2)] == ["a", "a"]
    assert failover.counts() == {"a failed": 1, "a returned": 1}


def test_the_trial_is_a_real_input_that_is_not_lost(bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a"), bench.candidate("b"))
    bench.order("a", "raise", times=-1)
    seen = []
    for bench.now_s in (0.0, 0.5, 1.0, 2.9, 3.0, 6.9):
        seen.append(ran_on(failover))
    assert seen == ["b"] * 6
    assert failover.counts() == {"a failed": 1}  # failed trials are no moves
    (bench.folder / "a" / "forward").unlink()
    bench.now_s = 7.0
    assert ran_on(failover) == "a"


def test_an_engine_that_raised_is_loaded_anew_before_its_trial(bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a"), bench.candidate("b"))
    before, standby = failover.engines()
    bench.order("a", "raise")
    assert ran_on(failover) == "b"
    bench.now_s = 1.0
    assert ran_on(failover) == "a"
    after, still = failover.engines()
    assert after is not before
    assert still is standby


def test_what_went_over_every_border_is_kept_when_an_engine_goes(bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a"), bench.candidate("b"), bench.candidate("c"))
    bench.order("a", "raise", after=2)
    ran = []
    for bench.now_s in (0.0, 0.0, 0.0, 1.0):
        ran.append(ran_on(failover))
    assert ran == ["a", "b", "b", "a"]  # the second a was loaded anew
    failover.close()
    told = failover.traffic()
    image, both_outputs = picture().nbytes, 2 * 4 * 8 * 10 * 4
    assert {name: (one.forwards, one.bytes_in, one.bytes_out) for name, one in told.items()} == {
        "a": (2, 3 * image, 2 * both_outputs),  # what it failed on was given all the same
        "b": (2, 2 * image, 2 * both_outputs),
        "c": (0, 0, 0),
    }


@pytest.mark.parametrize("fault", ["hang", "stop", "exit", "segfault"])
def test_a_lost_process_is_replaced_beside_the_work(fault: str, bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a", timeout_s=2), bench.candidate("b"))
    assert ran_on(failover) == "a"
    bench.order("a", fault)
    assert ran_on(failover) == "b"
    assert children() == []
    assert ran_on(failover) == "b"
    bench.now_s = 1.0
    while ran_on(failover) == "b":
        assert len(children()) == 1  # it is being loaded
    assert failover.engine_id == "a"
    assert failover.counts() == {"a failed": 1, "a returned": 1}
    assert "process" in failover.reasons()["a"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [("refuse", "no such device any more"), ("raise", "cannot be loaded: the device was removed")],
)
def test_an_engine_that_cannot_be_loaded_is_left_for_later(
    fault: str, told: str, bench: Bench
) -> None:
    bench.order("a", fault, "prepare", after=-1)
    failover = bench.opened(bench.candidate("a"), bench.candidate("b"))
    assert failover.counts() == {"a failed": 1}
    assert told in failover.reasons()["a"]
    assert ran_on(failover) == "b"
    bench.now_s = 1.0
    assert ran_on(failover) == "a"


def test_loading_that_fails_again_and_again_is_tried_less_and_less(bench: Bench) -> None:
    bench.order("a", "refuse", "prepare", after=-1, times=1000)
    failover = bench.opened(bench.candidate("a"), bench.candidate("b"))
    for bench.now_s in np.arange(0, 100, 0.1):
        ran_on(failover)
    left = int((bench.folder / "a" / "prepare").read_text().split()[2])
    assert 1000 - left == 1 + 6  # at the start, and after 1, 3, 7, 15, 31, 63 seconds


def test_none_can_be_loaded(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.order(name, "refuse", "prepare", after=-1, times=-1)
    with pytest.raises(EngineUnavailable, match=r"^none of the engines .*'a'.*'b'.*no such device"):
        bench.opened(bench.candidate("a"), bench.candidate("b"))
    with pytest.raises(EngineUnavailable, match=r"^engine 'a' \(faulty on cpu\): no such device"):
        bench.opened(bench.candidate("a"))


def test_while_nothing_works_the_last_error_is_raised(bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a"), bench.candidate("b"))
    bench.order("a", "raise", times=-1)
    bench.order("b", "nan", times=2)
    for _ in range(2):
        with pytest.raises(ForwardError, match="output features has 320 of 320 elements not fin"):
            ran_on(failover)
    assert ran_on(failover) == "b"
    assert failover.counts() == {"a failed": 1, "b failed": 1, "b returned": 1}


def test_an_input_that_no_engine_can_stand_spoils_itself_only(bench: Bench) -> None:
    one = bench.opened(bench.candidate("a"))
    two = bench.opened(bench.candidate("b"), bench.candidate("c"))
    for _ in range(3):
        for failover in (one, two):
            with pytest.raises(ForwardError, match="not finite"):
                failover.run({"image": picture() * np.float32(np.nan)})
        assert (ran_on(one), ran_on(two)) == ("a", "b")


def test_a_single_engine_that_raised_once_is_kept(bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a", timeout_s=30))
    before = failover.engines()
    bench.order("a", "raise")
    with pytest.raises(ForwardError, match="the device was removed"):
        ran_on(failover)
    for bench.now_s in (0.0, 1.0, 2.0):
        assert ran_on(failover) == "a"
    assert failover.engines() == before


def test_what_cannot_go_to_a_process_is_a_failure_to_load(bench: Bench) -> None:
    kernel = Kernel("twice", {}, (), (), lambda tensors: tensors)
    make = partial(engines.create, "c", "host", isolate=True)
    failover = bench.opened(Candidate("c", make, kernel), bench.candidate("b"))
    assert "kernel twice cannot go to its process" in failover.reasons()["c"]
    bench.now_s = 5.0
    assert ran_on(failover) == "b"


def test_a_single_lost_engine_comes_back(bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a", timeout_s=30))
    bench.order("a", "exit")
    with pytest.raises(EngineError, match="its process ended with 3"):
        ran_on(failover)
    with pytest.raises(EngineUnavailable, match=r"no engine is there: a: .*ended with 3"):
        ran_on(failover)
    bench.now_s = 1.0
    while True:
        try:
            assert ran_on(failover) == "a"
            break
        except EngineUnavailable:
            assert len(children()) == 1
    assert failover.counts() == {"a failed": 1, "a returned": 1}


def test_the_death_of_one_that_stands_by_is_noticed(bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a"), bench.candidate("b", timeout_s=30))
    os.kill(failover.engines()[1].report()["process"], signal.SIGKILL)
    while not failover.reasons():
        assert ran_on(failover) == "a"
    assert "killed by SIGKILL while it stood by" in failover.reasons()["b"]
    bench.now_s = 1.0
    while len(failover.engines()) < 2:
        assert ran_on(failover) == "a"
    bench.order("a", "raise")
    assert ran_on(failover) == "b"


def test_workers_share_what_one_of_them_finds_out(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = bench.candidate("a"), bench.candidate("b")
    first, second = bench.opened(a, b), bench.opened(a, b)
    bench.order("a", "raise")
    with caplog.at_level(logging.WARNING):
        assert (ran_on(first), ran_on(second)) == ("b", "b")
        assert len(caplog.messages) == 1
        bench.now_s = 1.0
        assert (ran_on(second), ran_on(first)) == ("a", "a")
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "engine 'a' is left",
        "engine 'a' works again",
    ]
    assert first.counts() == {"a failed": 1}
    assert second.counts() == {"a returned": 1}


def test_a_wrong_input_blames_no_engine(bench: Bench) -> None:
    failover = bench.opened(bench.candidate("a"), bench.candidate("b"))
    with pytest.raises(TensorError, match="got float32"):
        failover.run({"image": picture()[0]})
    assert failover.reasons() == {}
    assert ran_on(failover) == "a"


def test_engines_must_have_the_same_tensors(bench: Bench, tmp_path: Path) -> None:
    wide = replace(small_network(tmp_path / "wide", width=12), inputs=(), outputs=())
    other = replace(bench.candidate("b"), program=wide)
    with pytest.raises(ProgramError, match=r"expected the tensors .*8, 10\].*found .*8, 12\]"):
        bench.opened(bench.candidate("a"), other)
