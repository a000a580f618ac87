"""The frame ledger: every frame that enters is emitted or dropped, with stage and reason.

``entered = emitted + Σ dropped(stage, reason)`` holds per camera at the end of every run. A frame
may travel on several branches at once (a fork to two sinks); its `Ticket` counts them, and the
frame is settled when the last one ended: *emitted* if any sink emitted it, else *dropped* with the
first reason. A branch that was dropped while another emitted is counted as *partial*.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.tracing import Moment, Trace


@dataclass(slots=True, eq=False)
class Ticket:
    """One frame's line in the ledger; changed by the `Ledger` only, under its lock.

    Attributes:
        deadline_ns: monotonic clock after which the frame is not put out; 0 where it may wait.
        ended: called, under the ledger's lock, once the frame's end is known.
        trace: notes what happens to the frame; None where nobody wants to know.
    """

    camera: str
    branches: int = 1
    emitted: bool = False
    dropped: tuple[str, str] | None = None
    deadline_ns: int = 0
    ended: Callable[[], None] | None = None
    trace: Trace | None = None


@dataclass(frozen=True)
class Account:
    """One camera's sums.

    Attributes:
        entered: frames that entered the graph.
        emitted: frames that at least one sink emitted.
        dropped: frames that no sink emitted, by (stage, reason).
        partial: branches that were dropped although the frame was emitted elsewhere.
    """

    entered: int
    emitted: int
    dropped: dict[tuple[str, str], int]
    partial: dict[tuple[str, str], int]

    @property
    def missing(self) -> int:
        """Frames whose end nobody reported; 0 in a balanced ledger."""
        return self.entered - self.emitted - sum(self.dropped.values())

    @property
    def balanced(self) -> bool:
        return self.missing == 0


@dataclass(slots=True)
class _Sums:
    entered: int = 0
    emitted: int = 0
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    partial: Counter[tuple[str, str]] = field(default_factory=Counter)


class Ledger:
    """Counts every frame from entrance to end. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, _Sums] = {}

    def enter(self, camera: str) -> Ticket:
        """A frame entered the graph."""
        with self._lock:
            self._sums.setdefault(camera, _Sums()).entered += 1
        return Ticket(camera)

    def fork(self, ticket: Ticket, branches: int) -> None:
        """One branch of the frame became `branches`."""
        if branches != 1:
            with self._lock:
                ticket.branches += branches - 1

    def join(self, ticket: Ticket, branches: int) -> None:
        """`branches` branches of the frame met and go on as one."""
        with self._lock:
            ticket.branches -= branches - 1

    def emit(self, ticket: Ticket) -> None:
        """A branch ended in a sink."""
        with self._lock:
            ticket.emitted = True
            self._end_branch(ticket)

    def drop(self, ticket: Ticket, stage: str, reason: str) -> None:
        """A branch ended at `stage`, for `reason`."""
        if ticket.trace is not None:
            ticket.trace.mark(Moment.DROP, f"{stage}: {reason}")
        with self._lock:
            sums = self._sums[ticket.camera]
            sums.partial[stage, reason] += 1
            if ticket.dropped is None:
                ticket.dropped = (stage, reason)
            self._end_branch(ticket)

    def _end_branch(self, ticket: Ticket) -> None:
        ticket.branches -= 1
        if ticket.branches:
            return
        sums = self._sums[ticket.camera]
        if ticket.emitted:
            sums.emitted += 1
        elif ticket.dropped is not None:
            sums.dropped[ticket.dropped] += 1
            sums.partial[ticket.dropped] -= 1
        if ticket.ended is not None:
            ticket.ended()

    def accounts(self) -> dict[str, Account]:
        """A consistent copy of the sums per camera, cameras sorted by id."""
        with self._lock:
            return {
                camera: Account(s.entered, s.emitted, dict(s.dropped), dict(+s.partial))
                for camera, s in sorted(self._sums.items())
            }

    @property
    def balanced(self) -> bool:
        return all(account.balanced for account in self.accounts().values())
