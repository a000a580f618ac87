"""Overload, simulated: the governor, the ledger and the lanes are real, the graph is a server."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clock import ManualClock
from pipeline.errors import PacketError
from pipeline.escalation import Escalation, Level
from pipeline.governor import Governor, Window, refuse_late
from pipeline.ledger import Ledger, Ticket
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.queues import LaneQueue, OnFull, Priority

MS = 1_000_000
S = 1_000_000_000
MAX_AGE_S = 0.5


def packet(camera: str, sequence: int, now_ns: int, ticket: Ticket | None = None) -> Packet[None]:
    frame = FrameInfo(camera, sequence, sequence, now_ns, 6, 4, entered_ns=now_ns)
    ticket = ticket or Ticket(camera, deadline_ns=now_ns + round(MAX_AGE_S * S))
    return Packet(frame, None, ticket)


@dataclass(frozen=True)
class Out:
    """What came out."""

    at_s: float
    age_s: float
    status: Status


class Simulation:
    """Cameras, the entrance with its lanes, and a graph that works on one frame after another.

    Args:
        rates: of the cameras, frames per second, by id.
        cost_s: of a frame that is detected; with ReID three fifths of it, a coasting frame costs
            two hundredths.
        delay_s: for which a frame is under way beside that, in stages that are fast enough.
        priorities: of the cameras that are not normal.
    """

    def __init__(
        self,
        rates: Mapping[str, float],
        cost_s: float,
        delay_s: float = 0.0,
        priorities: Mapping[str, Priority] | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.governor = Governor(MAX_AGE_S, self.clock)
        self.ledger = Ledger()
        self.cost_s, self.delay_s = cost_s, delay_s
        self.out: dict[str, list[Out]] = defaultdict(list)
        self._lanes: LaneQueue[Packet[None]] = LaneQueue(
            2, dict.fromkeys(rates, OnFull.DROP_OLDEST), 1, priorities or {}
        )
        self._served: deque[Packet[None]] = deque()
        self._busy = False
        self._rates = list(rates.values())
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        for index, (camera, rate) in enumerate(rates.items()):
            self._at(0.003 * index, lambda c=camera, r=rate: self._come(c, 1 / r, 0))  # type: ignore[misc]

    @property
    def most_per_second(self) -> float:
        """Frames a second that could come out if all was done against overload."""
        one_of_four = 0.4 * self.cost_s + 3 * 0.02 * self.cost_s
        return min(sum(self._rates), 4 / one_of_four)

    @property
    def now_s(self) -> float:
        return self.clock.now_ns() / S

    def run(self, until_s: float) -> None:
        """Lets time pass."""
        while self._events and self._events[0][0] <= until_s:
            at_s, _, event = heapq.heappop(self._events)
            self.clock.advance(max(0.0, at_s - self.now_s))
            event()
            self._go_on()

    def rates(self, from_s: float) -> dict[str, float]:
        """Frames that came out per second since then, by camera."""
        return {
            camera: sum(one.at_s >= from_s for one in out) / (self.now_s - from_s)
            for camera, out in sorted(self.out.items())
        }

    def dropped(self, stage: str, reason: str) -> int:
        accounts = self.ledger.accounts().values()
        return sum(account.dropped.get((stage, reason), 0) for account in accounts)

    def _at(self, at_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at_s, next(self._order), event))

    def _come(self, camera: str, interval_s: float, sequence: int) -> None:
        self._at(self.now_s + interval_s, lambda: self._come(camera, interval_s, sequence + 1))
        now_ns = self.clock.now_ns()
        ticket = self.ledger.enter(camera)
        ticket.deadline_ns = now_ns + round(MAX_AGE_S * S)
        gone = self._lanes.put(camera, packet(camera, sequence, now_ns, ticket))
        if gone is not None:
            self.ledger.drop(gone.ticket, "entrance", "queue_full")

    def _go_on(self) -> None:
        while self.governor.has_room and self._lanes.statistics().depth:
            _, one = self._lanes.get()
            try:
                self._served.append(self.governor.admit(one))
            except PacketError as error:
                self.ledger.drop(one.ticket, "entrance", error.reason)
        if self._served and not self._busy:
            self._busy = True
            one = self._served.popleft()
            self._at(self.now_s + self._cost_s(one), lambda: self._finish(one))

    def _cost_s(self, one: Packet[None]) -> float:
        if not one.seen:
            return 0.02 * self.cost_s
        return self.cost_s * (0.4 if self.governor.spares_reid(one) else 1.0)

    def _finish(self, one: Packet[None]) -> None:
        self._busy = False
        self._at(self.now_s + self.delay_s, lambda: self._put_out(one))

    def _put_out(self, one: Packet[None]) -> None:
        now_ns = self.clock.now_ns()
        try:
            refuse_late(one.ticket, now_ns)
        except PacketError as error:
            self.ledger.drop(one.ticket, "out", error.reason)
        else:
            age_s = (now_ns - one.frame.entered_ns) / S
            self.out[one.frame.camera].append(Out(self.now_s, age_s, one.status))
            self.ledger.emit(one.ticket)


FOUR = dict.fromkeys("abcd", 15.0)


@pytest.mark.parametrize("delay_s", [0.0, 0.1])
@pytest.mark.parametrize("cost_s", [0.02, 0.03, 0.05, 0.1, 0.15])
def test_under_any_load_what_comes_out_is_fresh_and_the_work_is_not_in_vain(
    cost_s: float, delay_s: float
) -> None:
    run = Simulation(FOUR, cost_s, delay_s)
    run.run(20.0)
    out = [one for camera in run.out.values() for one in camera]
    assert max(one.age_s for one in out) <= MAX_AGE_S
    # Work on frames that came out too late is in vain: most of it is before the window is known.
    assert run.dropped("out", "stale") <= 0.1 * len(out)
    assert len([one for one in out if one.at_s > 5]) >= 0.6 * 15 * run.most_per_second


def test_without_overload_nothing_is_done() -> None:
    run = Simulation(FOUR, cost_s=0.010)
    run.run(10.0)
    report = run.governor.report()
    assert report is not None
    assert (report.level, report.transitions, report.coasted) == ("normal", (), 0)
    assert all(one.status is Status.OK for out in run.out.values() for one in out)
    accounts = run.ledger.accounts().values()
    assert not any(account.dropped for account in accounts)
    assert report.seconds["normal"] == pytest.approx(10.0, abs=0.1)


def test_every_step_is_taken_in_order_and_taken_back_when_the_load_goes() -> None:
    run = Simulation(FOUR, cost_s=0.3)
    run.run(10.0)
    up = run.governor.report()
    assert up is not None
    assert up.level == "no_reid"
    run.cost_s = 0.005
    run.run(60.0)
    down = run.governor.report()
    assert down is not None
    assert (down.level, down.interval) == ("normal", 1)
    steps = [("dropping", 1), ("coasting", 2), ("coasting", 3), ("coasting", 4), ("no_reid", 4)]
    taken = [(change.level.value, change.interval) for change in down.transitions]
    assert taken[:5] == steps
    assert taken[-5:] == [*steps[-2::-1], ("normal", 1)]
    assert sum(down.seconds.values()) == pytest.approx(60.0, abs=0.1)
    assert run.rates(50.0) == pytest.approx(FOUR, abs=0.2)
    assert all(one.status is Status.OK for one in run.out["a"] if one.at_s > 50)


@pytest.mark.parametrize("cost_s", [0.03, 0.1])
def test_cameras_of_a_class_share_alike_up_to_their_own_rate(cost_s: float) -> None:
    run = Simulation({"a": 15, "b": 15, "c": 30, "slow": 2}, cost_s)
    run.run(30.0)
    rates = run.rates(5.0)
    fast = [rates["a"], rates["b"], min(rates["c"], 15)]
    assert min(fast) >= 0.8 * max(fast)
    assert rates["slow"] >= 0.8 * 2


def test_a_higher_priority_goes_first_and_none_starves() -> None:
    priorities = {"high": Priority.HIGH, "low": Priority.LOW}
    rates = dict.fromkeys(["high", "a", "b", "c", "d", "low"], 15.0)
    run = Simulation(rates, cost_s=0.15, priorities=priorities)
    run.run(60.0)
    rates = run.rates(10.0)
    middle = [rates[name] for name in "abcd"]
    assert rates["high"] == pytest.approx(15.0, abs=0.5)
    assert rates["high"] > 1.4 * max(middle)
    assert min(middle) > 1.1 * rates["low"]
    assert rates["low"] > sum(rates.values()) / 9


def test_after_a_hang_frames_flow_again() -> None:
    run = Simulation(FOUR, cost_s=0.01)
    run.run(5.0)
    run.cost_s = 3.0  # one call
    run.run(5.2)
    run.cost_s = 0.01
    run.run(12.0)
    between_s = [one.at_s for one in run.out["a"] if one.at_s > 8.2]
    assert between_s[0] < 9.0
    assert run.rates(10.0)["a"] == pytest.approx(15.0, rel=0.1)
    assert max(one.age_s for out in run.out.values() for one in out) <= MAX_AGE_S


@given(st.lists(st.floats(0.002, 0.4), min_size=1, max_size=6))
def test_whatever_the_load_does_every_end_is_known(costs_s: list[float]) -> None:
    run = Simulation(FOUR, costs_s[0])
    for second, cost_s in enumerate(costs_s, 1):
        run.cost_s = cost_s
        run.run(second)
    left = sum(account.missing for account in run.ledger.accounts().values())
    report = run.governor.report()
    assert report is not None
    assert report.window >= 1
    waiting = run._lanes.statistics().depth + len(run._served) + run._busy
    assert left == waiting
    ages = [one.age_s for out in run.out.values() for one in out]
    assert max(ages, default=0) <= MAX_AGE_S


def overloaded(escalation: Escalation, from_s: float, until_s: float, dropped: int = 1) -> None:
    """Every tenth of a second one frame is let in and others are dropped."""
    for tenth in range(round(from_s * 10), round(until_s * 10)):
        escalation.came(1 + dropped, dropped, tenth * S // 10)


def levels(escalation: Escalation) -> list[tuple[float, Level, int]]:
    return [(change.at_s, change.level, change.interval) for change in escalation.transitions]


def test_the_first_drop_is_told_and_more_is_done_only_if_it_goes_on() -> None:
    escalation = Escalation(0)
    escalation.came(10, 1, S)
    escalation.look(S + 999 * MS)
    assert escalation.step.level is Level.DROPPING
    escalation.look(2 * S)
    assert levels(escalation) == [(1.0, Level.DROPPING, 1), (2.0, Level.NORMAL, 1)]
    assert escalation.seconds(3 * S)["dropping"] == pytest.approx(1.0)


def test_a_few_drops_are_left_at_that() -> None:
    escalation = Escalation(0)
    for second in range(20):
        escalation.came(60, 1, second * S // 2)
    assert escalation.step.level is Level.DROPPING


def test_a_step_that_was_taken_back_too_early_is_held_longer_the_next_time() -> None:
    escalation = Escalation(0)
    overloaded(escalation, 0.0, 0.6)
    assert (escalation.step.level, escalation.step.interval) == (Level.COASTING, 2)
    holds_s = []
    last_s = 0.5
    for _ in range(8):
        while escalation.step.interval == 2:
            escalation.look(round(last_s * S))
            last_s = round(last_s + 0.1, 1)
        holds_s.append(escalation.transitions[-1].at_s - escalation.transitions[-2].at_s)
        while escalation.step.interval == 1:
            overloaded(escalation, last_s, last_s + 0.1)
            last_s = round(last_s + 0.1, 1)
    assert holds_s == pytest.approx([1, 2, 4, 8, 16, 32, 32, 32], abs=0.2)


def test_the_window_grows_only_where_it_is_in_the_way() -> None:
    window = Window(250 * MS)
    for number in range(100):
        window.enter()
        window.leave(number * S, number * S + 10 * MS)
    assert window.size == 8
    for _ in range(8):
        window.enter()
    window.leave(100 * S, 100 * S + 10 * MS)
    assert window.size == 16  # twice as many take twice as long at most
    for _ in range(9):
        window.enter()
    window.leave(101 * S, 101 * S + 200 * MS)
    assert window.size == 20  # a quarter more may take a quarter longer


def test_the_window_shrinks_to_what_has_frames_take_the_target() -> None:
    window = Window(250 * MS)
    for _ in range(8):
        window.enter()
    for _ in range(8):  # 8 in a second
        window.leave(0, 1000 * MS)
    assert window.size == 2


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=200))
def test_the_window_is_never_shut(took_ms: list[int]) -> None:
    window = Window(250 * MS)
    now_ns = 0
    for one in took_ms:
        now_ns += one * MS
        window.enter()
        window.leave(now_ns - one * MS, now_ns)
        assert window.has_room
        assert window.expected_ns >= 0


def test_a_frame_that_would_come_out_too_old_is_refused_until_that_is_forgotten() -> None:
    clock = ManualClock()
    governor = Governor(MAX_AGE_S, clock)
    first = governor.admit(packet("a", 0, clock.now_ns()))
    clock.advance(2.0)
    assert first.ticket.ended is not None
    first.ticket.ended()
    with pytest.raises(PacketError, match=r"stale: would be .* ms too old"):
        governor.admit(packet("a", 1, clock.now_ns()))
    for sequence in range(2, 20):
        with suppress(PacketError):
            governor.admit(packet("a", sequence, clock.now_ns()))
            return
    pytest.fail("nothing is let in any more")


def test_a_file_that_waits_is_let_in_whatever_happens() -> None:
    clock = ManualClock()
    governor = Governor(MAX_AGE_S, clock)
    for sequence in range(0, 400, 2):  # every second frame of the camera was dropped
        governor.admit(packet("camera", sequence, clock.now_ns()))
        clock.advance(0.05)
    assert not governor._escalation.step.reid
    old = [packet("file", sequence, 0, Ticket("file")) for sequence in range(20)]
    let_in = [governor.admit(one) for one in old]
    assert [one.status for one in let_in] == [Status.OK] * 20
    assert not any(governor.spares_reid(one) for one in let_in)
    assert governor.spares_reid(packet("camera", 400, clock.now_ns()))


def test_a_run_of_files_has_nothing_to_report() -> None:
    governor = Governor(MAX_AGE_S, ManualClock())
    governor.admit(packet("file", 0, 0, Ticket("file")))
    assert governor.report() is None


def test_who_waits_for_room_does_not_wait_for_ever() -> None:
    governor = Governor(0.05, ManualClock())
    while governor.has_room:
        governor.admit(packet("a", 0, 0, Ticket("a")))
    waited = threading.Thread(target=governor.wait_for_room)
    waited.start()
    waited.join(5)
    assert not waited.is_alive()
    assert not governor.has_room


def test_a_frame_that_ends_makes_room_for_who_waits() -> None:
    governor = Governor(10.0, ManualClock())
    let_in = []
    while governor.has_room:
        let_in.append(governor.admit(packet("a", len(let_in), 0, Ticket("a"))))
    waited = threading.Thread(target=governor.wait_for_room)
    waited.start()
    ended: Any = let_in[0].ticket.ended
    ended()
    waited.join(0.9)  # less than it would wait in vain
    assert not waited.is_alive()


def test_ages_stay_well_below_the_bound_once_the_window_is_known() -> None:
    run = Simulation(FOUR, cost_s=0.05)
    run.run(20.0)
    ages = [one.age_s for out in run.out.values() for one in out if one.at_s > 5]
    assert quantiles(ages, n=20)[-1] < 0.45
