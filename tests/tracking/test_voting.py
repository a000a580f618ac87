"""Votes on attributes, against a ballot counted by hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recognition.looks import Looks
from pipeline.tracking.track import Attribute, Tracks
from pipeline.tracking.voting import (
    APART_S,
    FEWEST_LOOKS,
    FORGET_S,
    MOST_LOOKS,
    Polls,
    Votes,
)

SECOND = 1_000_000_000
COLOURS = ("green", "red", "blue")


def said(*values: str, weight: float = 1.0) -> Looks:
    """Looks that each say one value, the empty one nothing."""
    names = np.unique([*values, ""])[1:]
    weights = np.array([[weight * (value == name) for name in names] for value in values])
    return Looks(names, weights.astype(np.float32), np.ones(len(values), np.bool_))


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def tracks(*numbers: int) -> Tracks:
    """Tracks of which only the ids matter."""
    zeros = np.zeros(len(numbers), np.float32)
    return Tracks(
        ids(*numbers),
        np.zeros((len(numbers), 4), np.float32),
        zeros,
        zeros.astype(np.int32),
        zeros.astype(np.uint8),
        np.zeros((len(numbers), 2), np.float32),
        zeros,
        zeros,
    )


ROUND = st.dictionaries(
    st.integers(1, 9), st.sampled_from(["7A", "7B", "A7", "", None]), min_size=0, max_size=6
)


@given(st.lists(ROUND, max_size=12))
def test_votes_are_counted_as_by_hand(rounds: list[dict[int, str | None]]) -> None:
    """None: not looked at; the empty text: looked at, nothing read."""
    votes, looks = Votes(), Counter[int]()
    ballots: dict[int, Counter[str]] = defaultdict(Counter)
    for number, ballot in enumerate(rounds):
        tracks = sorted(ballot)
        one = said(*(ballot[track] or "" for track in tracks), weight=0.5)
        looked = np.array([ballot[track] is not None for track in tracks], np.bool_)
        votes.cast(ids(*tracks), Looks(one.values, one.weights, looked), number)
        for track in (track for track in tracks if ballot[track] is not None):
            looks[track] += 1
            ballots[track].update(filter(None, [ballot[track]]))
    result = votes.result(ids(*range(12)))
    for track in range(12):
        value, share = str(result.values[track]), float(result.shares[track])
        most = max(ballots[track].values(), default=0)
        winners = sorted(text for text, count in ballots[track].items() if count == most)
        assert value == (winners[0] if winners else "")
        assert share == pytest.approx(0.5 * most / looks[track] if most else 0)


def test_probabilities_add_up_over_looks() -> None:
    votes = Votes()
    for weights in ([0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.5, 0.4, 0.1]):
        looks = Looks(np.array(COLOURS), np.array([weights], np.float32), np.array([True]))
        votes.cast(ids(4), looks, 0)
    result = votes.result(ids(4))
    assert result.values.tolist() == ["red"]
    assert result.shares[0] == pytest.approx(1.6 / 3)


def test_a_track_is_looked_at_until_its_vote_is_sure_and_then_now_and_then() -> None:
    votes, looked_at = Votes(), []
    for frame in range(100):
        pts_ns = frame * SECOND // 10
        if votes.due(ids(1), pts_ns, sure=0.9, refresh_s=2.0)[0]:
            looked_at.append(frame)
            votes.cast(ids(1), said("red"), pts_ns)
    assert looked_at == [0, 2, 4, 24, 44, 64, 84]  # apart, FEWEST_LOOKS of them, then refreshed
    assert looked_at.index(24) == FEWEST_LOOKS


def test_a_vote_that_never_gets_sure_does_not_cost_a_look_in_every_frame() -> None:
    votes, looks = Votes(), 0
    for frame in range(200):
        pts_ns = frame * SECOND // 25
        if votes.due(ids(1), pts_ns, sure=0.9, refresh_s=2.0)[0]:
            looks += 1
            votes.cast(ids(1), said("red" if frame % 2 else "blue"), pts_ns)
    assert looks == MOST_LOOKS + 2


def test_any_attribute_may_want_another_look() -> None:
    polls = Polls()
    assert polls.due(ids(1, 2), 0, 0.9, 1.0).tolist() == [True, True]
    for frame in range(FEWEST_LOOKS):
        hat = said("yes", "yes")
        bag = said("yes", "no" if frame % 2 else "yes")
        polls.cast(ids(1, 2), {"hat": hat, "bag": bag}, frame)
    now_ns = round(APART_S * 1e9) + FEWEST_LOOKS
    assert polls.due(ids(1, 2, 3), FEWEST_LOOKS, 0.9, 1.0).tolist() == [False, False, True]
    assert polls.due(ids(1, 2, 3), now_ns, 0.9, 1.0).tolist() == [False, True, True]
    results = polls.known(tracks(2, 3), now_ns).attributes
    assert results["hat"].values.tolist() == ["yes", ""]
    assert results["bag"].shares.tolist() == pytest.approx([2 / 3, 0])


def test_tracks_long_gone_are_forgotten_and_so_are_their_texts() -> None:
    polls = Polls()
    polls.cast(ids(1, 2), {"text": said("X1", "X2")}, 0)
    for second in range(round(FORGET_S) + 2):
        known = polls.known(tracks(2), second * SECOND)
        assert known.attributes["text"].values.tolist() == ["X2"]
    known = polls.known(tracks(1, 2), round(FORGET_S + 2) * SECOND)
    assert known.attributes["text"].values.tolist() == ["", "X2"]
    votes = polls._votes["text"]
    assert (len(votes._records), votes._values.tolist()) == (1, ["X2"])


def test_nobody_is_there() -> None:
    polls = Polls()
    assert polls.known(tracks(), 0).attributes == {}
    assert len(polls.due(ids(), 0, 0.9, 1.0)) == 0
    polls.cast(ids(), {"colour": said()}, 0)
    assert polls.known(tracks(5), 0).attributes["colour"].values.tolist() == [""]


def test_tracks_inherit_what_was_seen_of_their_detections() -> None:
    polls, frame = Polls(), tracks(3, 5, 8)
    earlier = {"colour": Attribute(np.array(["x", "y", "z"]), np.ones(3, np.float32))}
    frame = replace(frame, detections=np.array([2, -1, 0], np.int32), attributes=earlier)
    known = polls.inherited(frame, {"text": said("A", "B", "C")}, 0)
    assert list(known.attributes) == ["colour", "text"]
    assert known.attributes["text"].values.tolist() == ["C", "", "A"]
    unknown = replace(frame, detections=None)
    known = polls.inherited(unknown, {"text": said("B", "B", "B")}, 1)
    assert known.attributes["text"].shares.tolist() == [1, 0, 1]
