from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ordering import Meeting, Resequencer


@given(st.lists(st.sampled_from("ab"), max_size=20), st.randoms(use_true_random=False))
def test_results_come_in_the_order_of_taking_per_camera(cameras: list[str], random) -> None:  # type: ignore[no-untyped-def]
    order: Resequencer[tuple[str, int]] = Resequencer()
    taken = [(camera, order.number(camera)) for camera in cameras]
    random.shuffle(taken)
    out = [result for camera, n in taken for result in order.submit(camera, n, [(camera, n)])]
    for camera in "ab":
        numbers = [n for c, n in out if c == camera]
        assert numbers == list(range(cameras.count(camera)))
    assert order.abandon() == []


def test_a_packet_without_result_does_not_hold_up_the_next() -> None:
    order: Resequencer[str] = Resequencer()
    assert [order.number("a") for _ in range(3)] == [0, 1, 2]
    assert order.submit("a", 1, []) == []
    assert order.submit("a", 2, ["c"]) == []
    assert order.ahead("a", 2) == 2
    assert order.submit("a", 0, ["a"]) == ["a", "c"]
    assert order.ahead("a", 3) == 0


def test_what_waits_for_its_turn_can_be_taken_back() -> None:
    order: Resequencer[str] = Resequencer()
    order.submit("a", 1, ["late"])
    assert order.abandon() == ["late"]


def test_a_frame_is_complete_when_every_branch_delivered_it() -> None:
    meeting: Meeting[str] = Meeting(["x", "y"])
    assert meeting.offer("y", "cam", 0, "y0") == (None, [])
    assert meeting.offer("y", "cam", 1, "y1") == (None, [])
    assert meeting.offer("x", "cam", 0, "x0") == (["x0", "y0"], [])
    assert meeting.abandon() == ["y1"]


def test_what_a_branch_skipped_can_never_be_complete() -> None:
    meeting: Meeting[str] = Meeting(["x", "y"])
    meeting.offer("x", "cam", 0, "x0")
    meeting.offer("x", "cam", 1, "x1")
    assert meeting.offer("y", "cam", 1, "y1") == (["x1", "y1"], ["x0"])


def test_cameras_do_not_meet() -> None:
    meeting: Meeting[str] = Meeting(["x", "y"])
    meeting.offer("x", "one", 0, "x")
    assert meeting.offer("y", "two", 0, "y") == (None, [])


@given(st.sets(st.integers(0, 15)), st.sets(st.integers(0, 15)), st.randoms(use_true_random=False))
def test_every_item_is_either_met_or_orphaned(x: set[int], y: set[int], random) -> None:  # type: ignore[no-untyped-def]
    meeting: Meeting[tuple[str, int]] = Meeting(["x", "y"])
    streams = {"x": sorted(x), "y": sorted(y)}
    met: list[int] = []
    orphans: list[tuple[str, int]] = []
    while any(streams.values()):
        branch = random.choice([name for name, left in streams.items() if left])
        sequence = streams[branch].pop(0)
        complete, lost = meeting.offer(branch, "cam", sequence, (branch, sequence))
        orphans += lost
        met += [] if complete is None else [sequence]
    orphans += meeting.abandon()
    assert met == sorted(x & y)
    assert sorted(orphans) == sorted([("x", s) for s in x - y] + [("y", s) for s in y - x])
