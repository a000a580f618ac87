"""The receiver, fed with datagrams by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.output import jsonmessage, receiver, telegram
from pipeline.output.receiver import MOST_STREAMS, Receiver, Statistics


def test_both_formats_are_told_apart(make_message: Any) -> None:
    receiving = Receiver()
    message = make_message(2)
    (binary,) = telegram.Encoder().encode(message)
    (text,) = jsonmessage.encode(replace(message, sequence=8))
    came = [receiving.receive(binary), receiving.receive(text)]
    assert [m.sequence for m in came if m] == [7, 8]
    assert receiving.statistics == Statistics(2, messages=2, streams=1)


def test_cameras_sessions_and_epochs(make_message: Any) -> None:
    receiving = Receiver()
    encoder = telegram.Encoder()
    for fields in (
        {"camera": "gate", "sequence": 0},
        {"camera": "yard", "sequence": 500},
        {"camera": "gate", "sequence": 2, "epoch": 1},
        {"camera": "gate", "sequence": 0, "session": 3},
    ):
        receiving.receive(encoder.encode(make_message(0, **fields))[0])
    assert receiving.statistics == Statistics(4, messages=4, lost=1, streams=3)


def test_malformed_datagrams_are_counted_by_reason(make_message: Any) -> None:
    receiving = Receiver()
    (good,) = telegram.Encoder().encode(make_message(1))
    for datagram in (b"", b"x" * 99, b"y" * 99, good[:-1], b"{", good):
        receiving.receive(datagram)
    statistics = receiving.statistics
    assert (statistics.datagrams, statistics.messages, statistics.lost) == (6, 1, 0)
    assert statistics.malformed == {"bad_checksum": 1, "bad_magic": 2, "not_json": 1, "short": 1}


def test_a_duplicate_is_not_given_out_again(make_message: Any) -> None:
    receiving = Receiver()
    (datagram,) = telegram.Encoder().encode(make_message(1))
    assert receiving.receive(datagram) is not None
    assert receiving.receive(datagram) is None
    assert receiving.statistics.duplicates == 1


def test_fragments_are_given_out_one_by_one(make_message: Any) -> None:
    receiving = Receiver()
    datagrams = telegram.Encoder().encode(make_message(120))
    came = [receiving.receive(datagram) for datagram in datagrams]
    assert sum(len(m.tracks) for m in came if m) == 120
    assert receiving.statistics == Statistics(3, messages=1, streams=1)


def test_a_flood_of_sessions_does_not_fill_the_memory(make_message: Any) -> None:
    receiving = Receiver()
    encoder = telegram.Encoder()
    for session in range(MOST_STREAMS + 10):
        receiving.receive(encoder.encode(make_message(0, session=session))[0])
    assert len(receiving._streams) == MOST_STREAMS
    assert receiving.statistics.messages == receiving.statistics.streams == MOST_STREAMS + 10


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_no_datagram_raises(datagrams: list[bytes]) -> None:
    receiving = receiver.Receiver()
    assert [receiving.receive(datagram) for datagram in datagrams] == [None] * len(datagrams)
    assert sum(receiving.statistics.malformed.values()) == len(datagrams)
