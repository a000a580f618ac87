from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.queues import PATIENCE, Closed, LaneQueue, OnFull, Priority


def single(capacity: int = 2, on_full: OnFull = OnFull.BLOCK) -> LaneQueue[int]:
    return LaneQueue(capacity, {"": on_full})


def drain(queue: LaneQueue[int]) -> list[tuple[str, int]]:
    queue.close_put()
    items: list[tuple[str, int]] = []
    while True:
        try:
            items.append(queue.get())
        except Closed:
            return items


def test_items_come_out_in_the_order_they_went_in() -> None:
    queue = single(3)
    for item in range(3):
        assert queue.put("", item) is None
    assert drain(queue) == [("", 0), ("", 1), ("", 2)]


@pytest.mark.parametrize(
    ("on_full", "gone", "left"),
    [
        (OnFull.DROP_OLDEST, [None, None, 0, 1], [2, 3]),
        (OnFull.DROP_NEWEST, [None, None, 2, 3], [0, 1]),
    ],
)
def test_a_full_lane_gives_back_what_had_to_go(
    on_full: OnFull, gone: list[int | None], left: list[int]
) -> None:
    queue = single(2, on_full)
    assert [queue.put("", item) for item in range(4)] == gone
    assert queue.statistics().dropped == 2
    assert [item for _, item in drain(queue)] == left


def test_drop_oldest_with_room_for_one_keeps_the_newest() -> None:
    queue = single(1, OnFull.DROP_OLDEST)
    assert [queue.put("", item) for item in range(3)] == [None, 0, 1]
    assert drain(queue) == [("", 2)]


def test_lanes_are_served_in_turn_whatever_their_load() -> None:
    queue: LaneQueue[int] = LaneQueue(4, dict.fromkeys("abc", OnFull.BLOCK))
    for item in range(4):
        queue.put("a", item)
    queue.put("b", 10)
    queue.put("c", 20)
    assert drain(queue) == [("a", 0), ("b", 10), ("c", 20), ("a", 1), ("a", 2), ("a", 3)]


def test_a_higher_priority_is_served_first() -> None:
    priorities = {"a": Priority.LOW, "c": Priority.HIGH}
    queue: LaneQueue[int] = LaneQueue(2, dict.fromkeys("abcd", OnFull.BLOCK), 1, priorities)
    for lane in "abcd":
        queue.put(lane, 0)
        queue.put(lane, 1)
    assert [lane for lane, _ in drain(queue)] == list("ccbdbdaa")


@pytest.mark.parametrize(("low", "every"), [("b", PATIENCE + 1), ("bc", PATIENCE + 2)])
def test_no_priority_starves(low: str, every: int) -> None:
    priorities = {"a": Priority.HIGH, "c": Priority.LOW}
    queue: LaneQueue[int] = LaneQueue(1, dict.fromkeys("abc", OnFull.DROP_OLDEST), 1, priorities)
    served = []
    for item in range(10 * every):
        for lane in f"a{low}":
            queue.put(lane, item)
        served.append(queue.get()[0])
    turns = {lane: [turn for turn, one in enumerate(served) if one == lane] for lane in low}
    for lane in low:
        assert max(b - a for a, b in itertools.pairwise(turns[lane])) <= every
    assert served.count("a") == 10 * every - sum(map(len, turns.values()))


def test_a_flooded_lane_drops_only_its_own() -> None:
    queue: LaneQueue[int] = LaneQueue(1, {"flood": OnFull.DROP_OLDEST, "calm": OnFull.BLOCK})
    queue.put("calm", 1)
    for item in range(50):
        queue.put("flood", item)
    assert sorted(drain(queue)) == [("calm", 1), ("flood", 49)]


def test_a_full_blocking_lane_makes_the_producer_wait() -> None:
    queue = single(1)
    queue.put("", 0)
    producer = threading.Thread(target=queue.put, args=("", 1))
    producer.start()
    assert queue.get() == ("", 0)
    assert queue.get() == ("", 1)
    producer.join()
    assert queue.statistics().put == 2


def test_the_queue_ends_after_the_last_producer() -> None:
    queue: LaneQueue[int] = LaneQueue(2, {"": OnFull.BLOCK}, producers=2)
    queue.close_put()
    queue.put("", 7)
    assert queue.get() == ("", 7)
    queue.close_put()
    with pytest.raises(Closed):
        queue.get()


def test_closing_the_consumer_frees_a_waiting_producer() -> None:
    queue = single(1)
    queue.put("", 0)
    outcome: list[str] = []

    def produce() -> None:
        try:
            queue.put("", 1)
        except Closed:
            outcome.append("closed")

    producer = threading.Thread(target=produce)
    producer.start()
    assert queue.close_get() == [0]
    producer.join()
    with pytest.raises(Closed):
        queue.put("", 2)
    with pytest.raises(Closed):
        queue.get()
    assert outcome == ["closed"]


def test_a_batch_holds_what_is_there_and_does_not_wait_for_more() -> None:
    queue = single(4)
    for item in range(3):
        queue.put("", item)
    assert [item for _, item in queue.get_batch(2, 60.0)] == [0, 1]
    assert [item for _, item in queue.get_batch(2, 0.0)] == [2]


def test_a_batch_that_waits_is_cut_short_by_the_end() -> None:
    queue = single(4)
    queue.put("", 0)
    queue.close_put()
    assert [item for _, item in queue.get_batch(4, 60.0)] == [0]


@pytest.mark.parametrize(("capacity", "lanes", "producers"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_impossible_queues_are_refused(capacity: int, lanes: int, producers: int) -> None:
    with pytest.raises(ValueError, match="must all be ≥1"):
        LaneQueue(capacity, dict.fromkeys(range(lanes), OnFull.BLOCK), producers)  # type: ignore[arg-type]


operations = st.lists(
    st.one_of(st.tuples(st.just("put"), st.sampled_from("ab")), st.just(("get", "")))
)


@given(operations, st.integers(1, 3), st.sampled_from([OnFull.DROP_OLDEST, OnFull.DROP_NEWEST]))
def test_nothing_is_lost_or_doubled(
    steps: list[tuple[str, str]], capacity: int, on_full: OnFull
) -> None:
    queue: LaneQueue[int] = LaneQueue(capacity, {"a": on_full, "b": on_full})
    seen: list[int] = []
    waiting = 0
    for number, (step, lane) in enumerate(steps):
        if step == "put":
            gone = queue.put(lane, number)
            waiting += gone is None
            seen += [] if gone is None else [gone]
        elif waiting:
            seen.append(queue.get()[1])
            waiting -= 1
        assert queue.statistics().depth == waiting
    seen += [item for _, item in drain(queue)]
    assert sorted(seen) == [number for number, (step, _) in enumerate(steps) if step == "put"]


def test_a_queue_counts_on_where_another_one_ended() -> None:
    first = single(4)
    for item in range(3):
        first.put("", item)
    second: LaneQueue[int] = LaneQueue(8, {"": OnFull.BLOCK}, follows=first)
    second.put("", 3)
    both = second.statistics()
    assert (both.put, both.got, both.depth, both.max_depth, both.capacity) == (4, 0, 4, 3, 8)
    first.close_put()
    for _ in range(3):
        first.get()
    second.get()
    for _ in range(2):  # the second time the first queue is forgotten
        both = second.statistics()
        assert (both.put, both.got, both.depth, both.max_depth) == (4, 4, 0, 3)
        assert both.wait.count == 4
