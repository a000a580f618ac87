"""Datagrams → messages, and an account of what came and what did not. No sockets here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pipeline.errors import MessageError
from pipeline.output import jsonreader, telegram
from pipeline.output.gaps import Arrival, SequenceCounter
from pipeline.output.message import Message

#: Sequences followed at once; the one silent for longest is closed for a new one.
MOST_STREAMS = 1024


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a receiver met.

    Attributes:
        datagrams: all that came.
        messages: of which at least one datagram came.
        lost: messages that did not come, by the gaps in their sequence numbers.
        reordered: datagrams that came after a later message's.
        duplicates: datagrams that had come before; not given out again.
        too_late: datagrams too far behind to be counted as either; not given out.
        incomplete: messages some of whose fragments did not come.
        streams: (session, camera) pairs.
        malformed: datagrams that are no message, by the `MessageError`'s reason.
    """

    datagrams: int = 0
    messages: int = 0
    lost: int = 0
    reordered: int = 0
    duplicates: int = 0
    too_late: int = 0
    incomplete: int = 0
    streams: int = 0
    malformed: dict[str, int] = field(default_factory=dict)


def decode(datagram: bytes) -> Message:
    """Reads a telegram or a JSON message, whichever it is.

    Raises:
        MessageError: as the format's own `decode`.
    """
    if datagram[:1] == b"{":
        return jsonreader.decode(datagram)
    return telegram.decode(datagram)


class Receiver:
    """Follows every camera of every session.

    The sequence numbers of a camera go on over its epochs, so that a loss at the border of two
    epochs is seen as well.
    """

    def __init__(self) -> None:
        self._datagrams = 0
        self._malformed: Counter[str] = Counter()
        self._streams: dict[tuple[int, str], SequenceCounter] = {}
        self._closed: Counter[str] = Counter()

    def receive(self, datagram: bytes) -> Message | None:
        """The datagram's message; None where it is malformed, a duplicate or too late."""
        self._datagrams += 1
        try:
            message = decode(datagram)
        except MessageError as error:
            self._malformed[error.reason] += 1
            return None
        arrival = self._counter((message.session, message.camera)).add(
            message.sequence, message.fragment, message.fragments
        )
        return message if arrival in (Arrival.IN_ORDER, Arrival.REORDERED) else None

    def _counter(self, key: tuple[int, str]) -> SequenceCounter:
        counter = self._streams.pop(key, None)
        if counter is None:
            counter = SequenceCounter()
            if len(self._streams) == MOST_STREAMS:
                self._closed.update(_counts(self._streams.pop(next(iter(self._streams)))))
        self._streams[key] = counter  # now the last: a dict keeps the order of insertion
        return counter

    @property
    def statistics(self) -> Statistics:
        """The sums so far, over all streams."""
        sums = Counter(self._closed)
        for counter in list(self._streams.values()):
            sums.update(_counts(counter))
        return Statistics(self._datagrams, **sums, malformed=dict(sorted(self._malformed.items())))


def _counts(counter: SequenceCounter) -> dict[str, int]:
    return {
        "messages": counter.messages,
        "lost": counter.lost,
        "reordered": counter.reordered,
        "duplicates": counter.duplicates,
        "too_late": counter.too_late,
        "incomplete": counter.incomplete,
        "streams": 1,
    }
