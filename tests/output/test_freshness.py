"""What a receiver does not believe because it has heard something newer."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RefusedError
from pipeline.output import telegram
from pipeline.output.envelope import Seal
from pipeline.output.freshness import EpochWatch
from pipeline.output.gaps import WINDOW
from pipeline.output.receiver import Receiver

KEY, OTHER = bytes(32), bytes(range(32))


def told(receiver: Receiver, *datagrams: bytes) -> list[bool]:
    return [receiver.receive(datagram) is not None for datagram in datagrams]


class Sender:
    """Makes sealed datagrams, one a message."""

    def __init__(self, make_message: Any, key: bytes = KEY, **fields: Any) -> None:
        self._encoder = telegram.Encoder(envelope=Seal(key, encrypt=True))
        self._make = make_message
        self._fields = {"began_ns": 1_000_000_000, "session": 1} | fields

    def send(self, sequence: int, **fields: Any) -> bytes:
        message = self._make(1, **(self._fields | {"sequence": sequence} | fields))
        (datagram,) = self._encoder.encode(message)
        return datagram


def test_what_is_replayed_is_given_out_once(make_message: Any) -> None:
    receiver, sender = Receiver(KEY), Sender(make_message)
    heard = [sender.send(sequence) for sequence in range(2000)]
    shuffled = random.Random(3).sample(heard, len(heard))
    assert all(told(receiver, *shuffled))
    assert not any(told(receiver, *heard))
    statistics = receiver.statistics
    assert (statistics.messages, statistics.lost, statistics.duplicates) == (2000, 0, 2000)


def test_what_is_behind_the_window_is_too_late(make_message: Any) -> None:
    receiver, sender = Receiver(KEY), Sender(make_message)
    held_back = sender.send(0)
    told(receiver, *(sender.send(sequence) for sequence in range(1, WINDOW + 1)))
    assert told(receiver, held_back) == [False]
    assert receiver.statistics.too_late == 1


def test_a_session_that_is_over_does_not_come_back(make_message: Any) -> None:
    receiver = Receiver(KEY)
    old, yard = Sender(make_message), Sender(make_message, session=2, camera="yard")
    new = Sender(make_message, session=3, began_ns=1_000_000_001)
    first, second = old.send(0), old.send(1)
    assert told(receiver, first, new.send(0), second) == [True, True, False]
    assert told(receiver, yard.send(0), new.send(1)) == [True, True]  # each camera by itself
    assert receiver.statistics.refused == {"older_session": 1}


def test_who_is_not_believed_is_counted_by_reason(make_message: Any) -> None:
    receiver = Receiver(KEY)
    good = Sender(make_message).send(0)
    tampered = good[:80] + bytes([good[80] ^ 1]) + good[81:]
    (plain,) = telegram.Encoder().encode(make_message(1))
    other = Sender(make_message, OTHER).send(0)
    assert told(receiver, tampered, other, plain, b'{"camera":"gate"}', good) == [
        *[False] * 4,
        True,
    ]
    assert receiver.statistics.refused == {"not_authentic": 2, "unauthenticated": 2}
    assert told(Receiver(), good) == [False]


def test_a_forged_session_that_begins_later_shuts_nobody_out(make_message: Any) -> None:
    receiver, sender = Receiver(KEY), Sender(make_message)
    forged = Sender(make_message, OTHER, session=9, began_ns=2**62).send(0)
    assert told(receiver, sender.send(0), forged, sender.send(1)) == [True, False, True]


def test_an_epoch_does_not_go_back(make_message: Any) -> None:
    encoder, receiver = telegram.Encoder(), Receiver()

    def came(sequence: int, epoch: int) -> bool:
        (datagram,) = encoder.encode(make_message(0, sequence=sequence, epoch=epoch))
        return receiver.receive(datagram) is not None

    assert came(0, 0)
    assert came(3, 1)
    assert came(2, 0)  # late: it was sent before epoch 1 began
    assert not came(4, 0)
    assert came(5, 1)
    assert receiver.statistics.refused == {"older_epoch": 1}


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 3), min_size=2, max_size=60),
    st.randoms(use_true_random=False),
)
def test_no_reordering_of_a_true_row_is_refused(
    start: int, steps: list[int], order: random.Random
) -> None:
    row, epoch = [], 0
    for number, step in enumerate(steps):
        epoch += step == 3
        row.append((epoch, (start + number) % 2**32))
    order.shuffle(row)
    watch = EpochWatch()
    for epoch, sequence in row:
        watch.check(epoch, sequence)  # raises nothing


@given(st.integers(1, 100), st.integers(0, 99))
def test_an_earlier_epoch_with_a_later_number_is_refused(newest: int, behind: int) -> None:
    watch = EpochWatch()
    watch.check(100, newest)
    with pytest.raises(RefusedError, match="older_epoch"):
        watch.check(behind, newest + 1)
