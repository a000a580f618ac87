"""Faults on demand: how they are written, and when they begin and end."""

from __future__ import annotations

from typing import Any

import pytest

from engines.errors import EngineError, EngineUnavailable, ForwardError, OptionError
from engines.sim_npu.profiles import PROFILES
from engines.sim_npu.runtime.device import Condition, Device
from engines.sim_npu.runtime.faults import Fault, FaultSchedule, parse

PROFILE = PROFILES["hi3559a-nnie"]
MILLISECOND = int(PROFILE.clock_hz / 1000)


class Bench:
    """A device with faults to come, and a wall clock that is moved by hand."""

    def __init__(self, *faults: Fault) -> None:
        self.now_s = 0.0
        self.device = Device(PROFILE, on_call=FaultSchedule(faults, lambda: self.now_s))
        self.load()

    def load(self) -> None:
        self.device.start()
        self.device.wait_for_firmware()
        self.loaded = self.device.load("a", 1000)

    def job(self) -> float:
        """Runs one, and says how long the core worked."""
        job = self.device.submit(self.loaded, MILLISECOND)
        self.device.finish(job, late_s=1.0)
        assert not job.flips
        return job.working_s

    def breaks(self, boot: bool = False) -> bool:
        """Whether a job fails, or the boot before."""
        try:
            if boot:
                self.load()
            self.job()
        except EngineError:
            return True
        return False


@pytest.mark.parametrize("what", ["gone", "hang", "crash", "out_of_memory"])
def test_the_job_after_so_many_meets_it_and_it_ends(what: str) -> None:
    bench = Bench(Fault(what, after=3, for_s=2.0))
    assert [bench.breaks() for _ in range(4)] == [False, False, False, True]
    bench.now_s = 1.9
    assert bench.breaks(boot=True), "no boot helps"
    bench.now_s = 2.0
    bench.load()
    assert [bench.breaks() for _ in range(5)] == [False] * 5
    assert bench.device.in_order


@pytest.mark.parametrize("what", ["hang", "crash"])
def test_what_happens_once_is_over_with_the_next_boot(what: str) -> None:
    bench = Bench(Fault(what, after=1))
    assert [bench.breaks() for _ in range(3)] == [False, True, True]
    bench.load()
    assert not bench.breaks()


@pytest.mark.parametrize("what", ["gone", "out_of_memory"])
def test_what_nobody_ends_stays(what: str) -> None:
    bench = Bench(Fault(what, after=1))
    bench.job()
    for bench.now_s in (0.0, 1e6):
        assert bench.breaks()
    assert not bench.device.in_order


def test_it_may_be_gone_from_the_start() -> None:
    with pytest.raises(EngineUnavailable, match="gone; plug it in"):
        Bench(Fault("gone"))


def test_a_device_that_comes_back_is_off_and_empty() -> None:
    bench = Bench(Fault("gone", after=1, for_s=1.0))
    assert [bench.breaks() for _ in range(2)] == [False, True]
    bench.now_s = 1.0
    with pytest.raises(EngineUnavailable, match="is off; boot it"):
        bench.job()
    bench.device.start()
    bench.device.wait_for_firmware()
    with pytest.raises(ForwardError, match="load the network anew"):
        bench.job()


def test_throttling_lasts_as_long_as_it_says() -> None:
    bench = Bench(Fault("throttle", after=1, for_s=1.0, amount=3))
    assert [bench.job() for _ in range(3)] == pytest.approx([1e-3, 3e-3, 3e-3])
    bench.now_s = 1.0
    assert bench.job() == pytest.approx(1e-3)


@pytest.mark.parametrize(("for_s", "flips"), [(0, [0, 7, 0, 0]), (1.0, [0, 7, 7, 0])])
def test_flips_are_of_one_result_or_of_all_for_a_while(for_s: float, flips: list[int]) -> None:
    bench = Bench(Fault("flip", after=1, for_s=for_s, amount=7))
    found = []
    for bench.now_s in (0.0, 0.0, 0.5, 1.0):
        found.append(bench.device.submit(bench.loaded, MILLISECOND).flips)
    assert found == flips


def test_one_fault_after_another() -> None:
    bench = Bench(Fault("crash", after=1), Fault("throttle", after=2), Fault("hang", after=3))
    assert bench.job() == pytest.approx(1e-3)
    assert bench.breaks()
    assert bench.device.condition is Condition.CRASHED
    bench.load()
    assert [bench.breaks(), bench.breaks()] == [False, False]
    assert bench.breaks()
    assert bench.device.condition is Condition.HUNG
    assert bench.device.slowdown == 2


def test_faults_as_they_are_written() -> None:
    written = [{"after": 100, "what": "gone", "for_s": 2}, {"what": "flip", "amount": 3}]
    assert parse(written) == (Fault("gone", 100, 2), Fault("flip", amount=3))
    assert parse(parse(written)) == parse(written)


KINDS = "gone, hang, crash, flip, throttle, out_of_memory"


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ("gone", "faults: expected a list of entries, got 'gone'"),
        (["gone"], "faults: entry 1: expected the keys what, after, for_s, amount, of which what"),
        ([{"after": 3}], "faults: entry 1: expected the keys what"),
        ([{"what": "gone", "when": 3}], "faults: entry 1: expected the keys what"),
        ([{"what": "gone"}, {"what": "fire"}], f"faults: entry 2: what: expected one of {KINDS}, "),
        ([{"what": ["gone"]}], "faults: entry 1: what: expected one of"),
        ([{"what": "gone", "after": 1.5}], "after: expected a whole number of jobs ≥ 0, got 1.5"),
        ([{"what": "gone", "after": True}], "after: expected a whole number"),
        ([{"what": "gone", "after": -1}], "after: expected a whole number"),
        ([{"what": "gone", "for_s": "2 s"}], "for_s: expected seconds ≥ 0, got '2 s'"),
        ([{"what": "gone", "for_s": float("inf")}], "for_s: expected seconds"),
        ([{"what": "gone", "amount": 1}], "amount: gone has none, got 1"),
        ([{"what": "throttle", "amount": 0.5}], "amount: expected a number of times as slow ≥ 1"),
        ([{"what": "flip", "amount": -3}], "amount: expected a number of bits ≥ 1, got -3"),
    ],
)
def test_bad_entries_say_what_is_allowed(entries: Any, told: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(entries)
    assert told in str(caught.value)
    assert str(caught.value).startswith("faults: ")
