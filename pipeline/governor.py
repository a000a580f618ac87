"""Keeps what comes from cameras fresh when they give more than can be worked on.

Only so many frames are under way at once (`Window`), the newest wait at the entrance and the others
are dropped there; a frame that would come out too old is refused before any work; and while frames
are dropped, `Escalation` makes each cost less. What that guarantees is in docs/overload.md.

No threads of its own: the entrance's worker asks, the ledger tells when a frame has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pipeline.clock import Clock
from pipeline.errors import PacketError
from pipeline.escalation import Escalation, Transition
from pipeline.ledger import Ticket
from pipeline.packet import Packet, Status

P = TypeVar("P")

#: Why a frame is dropped that came out too old, or would.
STALE = "stale"
_COASTS = "not detected: overload"
#: Frames under way at the beginning, until it is known how long they take.
_FIRST = 8
#: How much that number grows at most in a round, and where it was too large before.
_MOST_GROWTH, _CAREFUL_GROWTH = 2.0, 1.125
#: A worker that waits for room looks up this often at least, so that an aborted run ends.
_LONGEST_WAIT_S = 1.0


def refuse_late(ticket: Ticket, now_ns: int) -> None:
    """Sees that a frame that is to go out is not too old.

    Raises:
        PacketError: ``stale``: it is.
    """
    if 0 < ticket.deadline_ns < now_ns:
        raise PacketError(STALE, f"{(now_ns - ticket.deadline_ns) / 1e6:.0f} ms too old")


class Window:
    """How many frames may be under way, so that each takes no longer than a target.

    N frames under way at X frames a second take N / X on the average (Little, A Proof for the
    Queuing Formula L = λW, Operations Research 9, 1961). So where frames take T, a window of
    N · target / T has them take the target if the graph is saturated, and lets it be if it is not.
    It is set so round by round, as TCP sets its own (Jacobson, Congestion Avoidance and Control,
    SIGCOMM 1988); it grows only if it was full.

    Args:
        target_ns: how long a frame may take from the entrance to its end.
    """

    def __init__(self, target_ns: int) -> None:
        self._target_ns = target_ns
        self._size = float(_FIRST)
        self._was_too_large = False
        self._under_way = 0
        self._round_ns = 0  # a round ends with the first frame that was let in after it began
        self._left = self._took_ns = 0  # frames that ended in this round, and their times, summed
        self._was_full = False  # in this round
        self._mean_ns = self._deviation_ns = 0.0

    @property
    def size(self) -> int:
        """Frames that may be under way; at least 1."""
        return int(self._size)

    @property
    def has_room(self) -> bool:
        return self._under_way < self.size

    @property
    def expected_ns(self) -> float:
        """How long a frame takes at most, as far as can be told: mean and twice the deviation.

        Both are averages as in RFC 6298.
        """
        return self._mean_ns + 2 * self._deviation_ns

    def enter(self) -> None:
        """A frame was let in."""
        self._under_way += 1

    def refuse(self) -> None:
        """A frame was not let in. What lets nothing in is forgotten, or it would never change."""
        if not self._under_way:
            self._mean_ns *= 7 / 8
            self._deviation_ns *= 7 / 8

    def leave(self, entered_ns: int, now_ns: int) -> None:
        """A frame has ended that was let in at `entered_ns`."""
        took_ns = now_ns - entered_ns
        self._learn(took_ns)
        self._left += 1
        self._took_ns += took_ns
        self._was_full |= not self.has_room
        self._under_way -= 1
        if entered_ns >= self._round_ns:
            self._judge(self._took_ns / self._left)
            self._round_ns, self._left, self._took_ns, self._was_full = now_ns, 0, 0, False

    def _judge(self, mean_ns: float) -> None:
        """Sets the size by how long the frames of the last round took."""
        factor = self._target_ns / max(mean_ns, 1.0)
        if factor < 1:
            self._was_too_large = True
            self._size = max(1.0, self._size * factor)
        elif self._was_full:
            careful = self._was_too_large and factor < _MOST_GROWTH
            self._size *= _CAREFUL_GROWTH if careful else min(factor, _MOST_GROWTH)

    def _learn(self, took_ns: int) -> None:
        if not self._mean_ns:
            self._mean_ns = took_ns
        self._deviation_ns += (abs(took_ns - self._mean_ns) - self._deviation_ns) / 4
        self._mean_ns += (took_ns - self._mean_ns) / 8


@dataclass(frozen=True)
class GovernorReport:
    """What was done against overload.

    Attributes:
        level: now.
        interval: every so many frames of a camera one is detected, now.
        seconds: at each level.
        transitions: the last changes, first one first.
        coasted: frames that were not detected to save time.
        window: frames that may be under way, now.
        expected_ms: how long a frame takes from the entrance to its end, now.
    """

    level: str
    interval: int
    seconds: Mapping[str, float]
    transitions: Sequence[Transition]
    coasted: int
    window: int
    expected_ms: float


class Governor:
    """Decides at the entrance of a graph; all methods may be called from any thread.

    Frames whose ticket has no deadline are from files that wait: they only count as under way.

    Args:
        max_age_s: what comes out is not older; half of it may be spent behind the entrance.
        clock: of the frames' `entered_ns`.
    """

    def __init__(self, max_age_s: float, clock: Clock) -> None:
        self._clock = clock
        self._longest_wait_s = min(max_age_s, _LONGEST_WAIT_S)
        self._window = Window(round(max_age_s * 1e9 / 2))
        self._escalation = Escalation(clock.now_ns())
        self._changed = threading.Condition()
        self._last: dict[str, int] = {}  # sequence number by camera
        self._turns: dict[str, int] = {}  # frames that could be detected, by camera
        self._coasted = 0

    @property
    def has_room(self) -> bool:
        """Whether another frame may be let in now."""
        return self._window.has_room

    def wait_for_room(self) -> None:
        """Waits until another frame may be let in, but no longer than one may take in all."""
        with self._changed:
            self._changed.wait_for(lambda: self._window.has_room, self._longest_wait_s)

    def admit(self, packet: Packet[P]) -> Packet[P]:
        """Lets a frame in, perhaps to coast.

        Raises:
            PacketError: ``stale``: it would come out too old.
        """
        now_ns = self._clock.now_ns()
        ticket = packet.ticket
        with self._changed:
            if ticket.deadline_ns:
                packet = self._judged(packet, now_ns)
            self._window.enter()
            ticket.ended = partial(self._ended, now_ns)
        return packet

    def spares_reid(self, packet: Packet[P]) -> bool:
        """Whether nobody is to look at the appearance of this frame's objects."""
        return bool(packet.ticket.deadline_ns) and not self._escalation.step.reid

    def report(self) -> GovernorReport | None:
        """What was done so far; None where no frame came that may be dropped."""
        now_ns = self._clock.now_ns()
        with self._changed:
            if not self._last:
                return None
            self._escalation.look(now_ns)
            step = self._escalation.step
            return GovernorReport(
                step.level.value,
                step.interval,
                self._escalation.seconds(now_ns),
                self._escalation.transitions,
                self._coasted,
                self._window.size,
                self._window.expected_ns / 1e6,
            )

    def _judged(self, packet: Packet[P], now_ns: int) -> Packet[P]:
        """Refuses a frame that is too old, and has one coast that need not be detected."""
        frame, deadline_ns = packet.frame, packet.ticket.deadline_ns
        # A camera that came back counts from 0 again.
        missed = max(0, frame.sequence - self._last.get(frame.camera, -1) - 1)
        self._last[frame.camera] = frame.sequence
        late_ns = now_ns + self._window.expected_ns - deadline_ns
        self._escalation.came(missed + 1, missed + (late_ns > 0), now_ns)
        if late_ns > 0:
            self._window.refuse()
            raise PacketError(STALE, f"would be {late_ns / 1e6:.0f} ms too old")
        if not packet.seen:
            return packet
        # Cameras begin at different turns, so that their detections do not come all at once.
        turn = self._turns.get(frame.camera, len(self._turns))
        self._turns[frame.camera] = turn + 1
        if turn % self._escalation.step.interval == 0:
            return packet
        self._coasted += 1
        return packet.marked(Status.COASTING, _COASTS)

    def _ended(self, entered_ns: int) -> None:
        now_ns = self._clock.now_ns()
        with self._changed:
            self._window.leave(entered_ns, now_ns)
            self._escalation.look(now_ns)
            self._changed.notify()
