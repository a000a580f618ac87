"""What became of the messages of one camera on the way, told by their sequence numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from pipeline.output.message import SEQUENCE_MODULUS

#: A message this many behind the newest is too late to be told from a duplicate.
WINDOW = 4096


class Arrival(Enum):
    """What a datagram turned out to be."""

    IN_ORDER = "in_order"
    REORDERED = "reordered"
    DUPLICATE = "duplicate"
    TOO_LATE = "too_late"


@dataclass(slots=True)
class SequenceCounter:
    """Follows one sequence of messages; a number is taken for the one nearest to the newest.

    Attributes:
        messages: of which at least one datagram came, each counted once.
        reordered: datagrams that came after a later message's.
        duplicates: datagrams that had come before.
        too_late: datagrams more than `WINDOW` messages behind; not told apart any further.
        incomplete: messages some of whose fragments have not come.
    """

    messages: int = 0
    reordered: int = 0
    duplicates: int = 0
    too_late: int = 0
    incomplete: int = 0
    _first: int = 0
    _newest: int = -1
    _seen: dict[int, set[int]] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Messages between the first and the newest of which nothing has come (yet)."""
        return self._newest - self._first + 1 - self.messages

    def add(self, sequence: int, fragment: int = 0, fragments: int = 1) -> Arrival:
        """Counts one datagram."""
        number = self._unwrapped(sequence)
        if number <= self._newest - WINDOW:
            self.too_late += 1
            return Arrival.TOO_LATE
        seen = self._seen.get(number)
        if seen is not None and fragment in seen:
            self.duplicates += 1
            return Arrival.DUPLICATE
        in_order = number >= self._newest
        if seen is None:
            seen = self._begin(number)
            self.incomplete += fragments > 1
        seen.add(fragment)
        self.incomplete -= len(seen) == fragments > 1
        self.reordered += not in_order
        return Arrival.IN_ORDER if in_order else Arrival.REORDERED

    def _unwrapped(self, sequence: int) -> int:
        """The number without its wrap: RFC 1982's nearest, relative to the newest."""
        if not self.messages:
            self._first, self._newest = sequence, sequence - 1
            return sequence
        half = SEQUENCE_MODULUS // 2
        return self._newest + (sequence - self._newest + half) % SEQUENCE_MODULUS - half

    def _begin(self, number: int) -> set[int]:
        """A message's first datagram came."""
        self.messages += 1
        self._first = min(self._first, number)
        self._newest = max(self._newest, number)
        if len(self._seen) >= 2 * WINDOW:  # now and then, so that it costs nothing a message
            self._seen = {n: f for n, f in self._seen.items() if n > self._newest - WINDOW}
        return self._seen.setdefault(number, set())
