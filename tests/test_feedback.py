"""The way back: one place a camera, and nobody waits for what will not come."""

from __future__ import annotations

import threading

import pytest

from pipeline.errors import PacketError, StageError
from pipeline.feedback import Feedback
from pipeline.queues import Closed


def test_each_camera_gets_its_own() -> None:
    feedback: Feedback[int] = Feedback()
    feedback.give("a", 1)
    feedback.give("b", 2)
    assert (feedback.take("b"), feedback.take("a")) == (2, 1)


def test_who_waits_is_woken_by_what_is_for_them() -> None:
    feedback: Feedback[int] = Feedback()
    got: list[int] = []
    waiting = threading.Thread(target=lambda: got.append(feedback.take("a")))
    waiting.start()
    feedback.give("b", 2)
    feedback.give("a", 1)
    waiting.join(10)
    assert got == [1]


def test_who_waits_in_vain_is_told() -> None:
    feedback: Feedback[int] = Feedback()
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(Closed):
            feedback.take("a")
        ended.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    feedback.close()
    assert ended.wait(10)
    waiting.join()


def test_what_was_given_before_the_end_is_there() -> None:
    feedback: Feedback[int] = Feedback()
    feedback.give("a", 1)
    feedback.close()
    assert feedback.take("a") == 1
    with pytest.raises(Closed):
        feedback.take("a")


def test_a_dropped_packet_leaves_things_as_they_were() -> None:
    feedback: Feedback[int] = Feedback()
    feedback.close()
    with pytest.raises(PacketError), feedback.kept("a", 1):
        raise PacketError("odd")
    assert feedback.take("a") == 1
    with pytest.raises(StageError), feedback.kept("a", 1):
        raise StageError("the run ends")
    with pytest.raises(Closed):
        feedback.take("a")
