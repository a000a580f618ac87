"""What is known of a frame gets worse on its way, never better."""

from __future__ import annotations

import pytest

from pipeline.ledger import Ticket
from pipeline.packet import FrameInfo, Packet, Status


def packet() -> Packet[str]:
    return Packet(FrameInfo("cam", 0, 0, 0, 64, 48), "payload", Ticket("cam"))


@pytest.mark.parametrize("first", Status)
@pytest.mark.parametrize("second", Status)
def test_the_worse_status_stays_with_its_reason(first: Status, second: Status) -> None:
    marked = packet().marked(first, first.name).marked(second, second.name)
    worst = max(first, second)
    assert marked.status is worst
    assert marked.reason == ("" if worst is Status.OK else worst.name)


@pytest.mark.parametrize("status", Status)
def test_a_frame_is_seen_unless_its_status_says_that_nobody_looked(status: Status) -> None:
    assert packet().marked(status, "why").seen == (status in (Status.OK, Status.DAMAGED))


def test_a_damaged_picture_may_be_kept_from_the_detectors() -> None:
    unseen = packet().unseen(Status.DAMAGED, "corrupt_frame")
    assert (unseen.status, unseen.reason, unseen.seen) == (Status.DAMAGED, "corrupt_frame", False)
    assert not unseen.carrying("next").seen


def test_what_was_not_seen_stays_unseen_under_a_worse_status() -> None:
    doubtful = packet().marked(Status.DAMAGED, "no embeddings")
    coasting = doubtful.marked(Status.COASTING, "overload")
    assert (coasting.status, coasting.reason) == (Status.DAMAGED, "no embeddings")
    assert not coasting.seen
    assert not coasting.marked(Status.BLIND, "gone").seen
