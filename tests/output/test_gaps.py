"""The sequence counter, step by step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.output.gaps import WINDOW, Arrival, SequenceCounter
from pipeline.output.message import SEQUENCE_MODULUS

LAST = SEQUENCE_MODULUS - 1


def counts(counter: SequenceCounter) -> dict[str, int]:
    names = ("messages", "lost", "reordered", "duplicates", "too_late", "incomplete")
    return {name: getattr(counter, name) for name in names if getattr(counter, name)}


CASES = {
    "nothing yet": ([], {}),
    "all in order": ([0, 1, 2], {"messages": 3}),
    "begun in the middle of a session: what was before is not lost": ([70, 71], {"messages": 2}),
    "one lost": ([0, 2], {"messages": 2, "lost": 1}),
    "many lost": ([0, 1_000_000], {"messages": 2, "lost": 999_999}),
    "lost, then late": ([0, 2, 1], {"messages": 3, "reordered": 1}),
    "the first one late": ([5, 4, 6], {"messages": 3, "reordered": 1}),
    "the first one late, with a gap": ([5, 3, 6], {"messages": 3, "reordered": 1, "lost": 1}),
    "twice": ([0, 1, 1, 0], {"messages": 2, "duplicates": 2}),
    "over the wrap": ([LAST - 1, LAST, 0, 1], {"messages": 4}),
    "lost at the wrap": ([LAST, 1], {"messages": 2, "lost": 1}),
    "late over the wrap": ([LAST - 1, 0, LAST], {"messages": 3, "reordered": 1}),
    "far behind": ([0, WINDOW, 0], {"messages": 2, "lost": WINDOW - 1, "too_late": 1}),
    "just not too far behind": (
        [0, WINDOW, 1],
        {"messages": 3, "lost": WINDOW - 2, "reordered": 1},
    ),
}


@pytest.mark.parametrize(("sequences", "expected"), CASES.values(), ids=CASES)
def test_whole_messages(sequences: list[int], expected: dict[str, int]) -> None:
    counter = SequenceCounter()
    for sequence in sequences:
        counter.add(sequence)
    assert counts(counter) == expected


def test_each_arrival_is_told() -> None:
    counter = SequenceCounter()
    arrivals = [counter.add(s) for s in (0, 2, 1, 2, 9999, 0)]
    in_order, late = Arrival.IN_ORDER, Arrival.REORDERED
    assert arrivals == [in_order, in_order, late, Arrival.DUPLICATE, in_order, Arrival.TOO_LATE]


FRAGMENTS = {
    "complete": ([(0, 0, 3), (0, 1, 3), (0, 2, 3)], {"messages": 1}),
    "complete, out of order": ([(0, 2, 3), (0, 0, 3), (0, 1, 3)], {"messages": 1}),
    "one missing": ([(0, 0, 2), (1, 0, 1)], {"messages": 2, "incomplete": 1}),
    "completed late": ([(0, 0, 2), (1, 0, 1), (0, 1, 2)], {"messages": 2, "reordered": 1}),
    "one twice": ([(0, 0, 2), (0, 0, 2)], {"messages": 1, "incomplete": 1, "duplicates": 1}),
}


@pytest.mark.parametrize(("datagrams", "expected"), FRAGMENTS.values(), ids=FRAGMENTS)
def test_fragments(datagrams: list[tuple[int, int, int]], expected: dict[str, int]) -> None:
    counter = SequenceCounter()
    for datagram in datagrams:
        counter.add(*datagram)
    assert counts(counter) == expected


def test_memory_is_bounded() -> None:
    counter = SequenceCounter()
    for sequence in range(5 * WINDOW):
        counter.add(sequence)
    assert len(counter._seen) <= 2 * WINDOW
    assert counts(counter) == {"messages": 5 * WINDOW}


@given(st.integers(0, LAST), st.sets(st.integers(1, 60)), st.randoms(use_true_random=False))
def test_whatever_the_order_loss_is_what_did_not_come(
    start: int, gone: set[int], random: object
) -> None:
    came = [0, *(n for n in range(1, 61) if n not in gone), 61]
    shuffled = came[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    counter = SequenceCounter()
    for number in shuffled + came:
        counter.add((start + number) % SEQUENCE_MODULUS)
    assert (counter.messages, counter.lost) == (len(came), len(gone))
    assert counter.duplicates == len(came)
