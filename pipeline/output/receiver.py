"""Datagrams → messages, and an account of what came and what did not. No sockets here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pipeline.errors import MessageError, RefusedError
from pipeline.output import jsonreader, telegram
from pipeline.output.envelope import Opener
from pipeline.output.freshness import EpochWatch, SessionWatch
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
        duplicates: datagrams that had come before, as what is replayed has; not given out again.
        too_late: datagrams too far behind to be counted as either; not given out.
        incomplete: messages some of whose fragments did not come.
        streams: (session, camera) pairs.
        malformed: datagrams that are no message, by the `MessageError`'s reason.
        refused: messages that must not be believed, by the `RefusedError`'s reason; not given out.
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
    refused: dict[str, int] = field(default_factory=dict)


def decode(datagram: bytes, opener: Opener | None = None) -> Message:
    """Reads a telegram or a JSON message, whichever it is.

    Args:
        opener: believes what it opens, and nothing else; None where nothing is authenticated.

    Raises:
        MessageError: as the format's own `decode`.
    """
    if datagram[:1] != b"{":
        return telegram.decode(datagram, opener)
    if opener is not None:
        raise RefusedError("unauthenticated", "anybody can have sent it")
    return jsonreader.decode(datagram)


@dataclass(slots=True)
class _Stream:
    """One session of a camera."""

    counter: SequenceCounter = field(default_factory=SequenceCounter)
    epochs: EpochWatch = field(default_factory=EpochWatch)


class Receiver:
    """Follows every camera of every session.

    The sequence numbers of a camera go on over its epochs, so that a loss at the border of two
    epochs is seen as well.

    Args:
        key: shared with the senders: what is not authentic is refused, and so are sessions that
            began before the latest one of their camera. None: nothing is authenticated.

    Raises:
        OutputError: there is a key, and the package ``cryptography`` is missing.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._opener = Opener(key) if key is not None else None
        self._datagrams = 0
        self._malformed: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._sessions = SessionWatch()
        self._streams: dict[tuple[int, str], _Stream] = {}
        self._closed: Counter[str] = Counter()

    def receive(self, datagram: bytes) -> Message | None:
        """The datagram's message; None where it is malformed, refused, a duplicate or too late."""
        self._datagrams += 1
        try:
            message = decode(datagram, self._opener)
            self._sessions.check(message)
            stream = self._stream((message.session, message.camera))
            stream.epochs.check(message.epoch, message.sequence)
        except RefusedError as error:
            self._refused[error.reason] += 1
            return None
        except MessageError as error:
            self._malformed[error.reason] += 1
            return None
        arrival = stream.counter.add(message.sequence, message.fragment, message.fragments)
        return message if arrival in (Arrival.IN_ORDER, Arrival.REORDERED) else None

    def _stream(self, key: tuple[int, str]) -> _Stream:
        stream = self._streams.pop(key, None)
        if stream is None:
            stream = _Stream()
            if len(self._streams) == MOST_STREAMS:
                oldest = self._streams.pop(next(iter(self._streams)))
                self._closed.update(_counts(oldest.counter))
        self._streams[key] = stream  # now the last: a dict keeps the order of insertion
        return stream

    @property
    def statistics(self) -> Statistics:
        """The sums so far, over all streams."""
        sums = Counter(self._closed)
        for stream in list(self._streams.values()):
            sums.update(_counts(stream.counter))
        return Statistics(
            self._datagrams,
            **sums,
            malformed=dict(sorted(self._malformed.items())),
            refused=dict(sorted(self._refused.items())),
        )


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
