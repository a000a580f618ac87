"""Which piece of which clip is next: pure, with made-up answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pipeline.batch.clip import Clip, Segment
from pipeline.batch.schedule import RETRIES, Schedule


def clip(name: str, segments: int, seconds: float = 1.0) -> Clip:
    cuts = [Segment(n, n * 10, (n + 1) * 10) for n in range(segments)]
    return Clip(name, f"{name}.mp4", segments=tuple(cuts), duration_ns=round(seconds * 1e9))


def schedule(
    *clips: Clip, seen: Mapping[str, Collection[int]] | None = None, most: int = 10
) -> Schedule:
    return Schedule(clips, seen or {}, most)


def segments(plan: Schedule, count: int = 100) -> list[tuple[str, int]]:
    """What would be looked at next."""
    given = []
    while len(given) < count and (job := plan.next_segment()):
        given.append((job[0].name, job[1].number))
    return given


def test_long_clips_come_first_and_their_pieces_in_order() -> None:
    plan = schedule(clip("a", 2, 5), clip("b", 3, 9), clip("c", 1, 7))
    assert segments(plan) == [("b", 0), ("b", 1), ("b", 2), ("c", 0), ("a", 0), ("a", 1)]
    assert plan.next_segment() is None


def test_what_an_earlier_run_has_begun_comes_first() -> None:
    plan = schedule(clip("long", 1, 99), clip("begun", 3, 1), seen={"begun": [0, 2]})
    assert plan.unseen == 2
    assert segments(plan) == [("begun", 1), ("long", 0)]


def test_a_clip_is_followed_as_soon_as_its_beginning_was_seen() -> None:
    plan = schedule(clip("a", 3))
    segments(plan)
    plan.was_seen("a", 1)
    assert plan.next_clip() is None
    plan.was_seen("a", 0)
    followed = plan.next_clip()
    assert followed is not None
    assert (followed[0].name, followed[1]) == ("a", [0, 1])
    assert plan.next_clip() is None  # by one only


def test_only_so_many_clips_are_begun() -> None:
    plan = schedule(*(clip(name, 2) for name in "abc"), most=2)
    assert {name for name, _ in segments(plan)} == {"a", "b"}
    assert plan.unseen == 2
    plan.end("a")
    assert segments(plan) == [("c", 0), ("c", 1)]
    plan.end("b")
    assert not plan.over
    plan.end("c")
    assert plan.over


def test_a_segment_that_kills_is_tried_again_so_often() -> None:
    plan = schedule(clip("a", 2))
    for attempt in range(RETRIES + 1):
        assert segments(plan, 1) == [("a", 0)]
        assert plan.seer_died("a", 0) is (attempt < RETRIES)
    plan.end("a")
    assert plan.over


def test_deaths_are_counted_by_segment_and_for_followers_apart() -> None:
    plan = schedule(clip("a", 2))
    segments(plan)
    assert plan.seer_died("a", 0)
    assert plan.seer_died("a", 1)
    assert plan.seer_died("a", 0)
    assert plan.seer_died("a", 1)
    plan.was_seen("a", 0)
    assert plan.next_clip() is not None
    assert plan.follower_died("a")
    assert plan.next_clip() is not None  # for another one
    assert not plan.seer_died("a", 0)


def test_what_was_given_to_who_died_before_is_given_again_in_its_place() -> None:
    plan = schedule(clip("a", 4))
    assert segments(plan, 3) == [("a", 0), ("a", 1), ("a", 2)]
    plan.was_not_seen("a", 1)
    assert segments(plan) == [("a", 1), ("a", 3)]


def test_what_comes_of_a_clip_that_was_given_up_is_not_heeded() -> None:
    plan = schedule(clip("a", 2), clip("b", 1))
    segments(plan)
    plan.end("a")
    plan.was_seen("a", 0)
    plan.was_not_seen("a", 1)
    assert plan.seer_died("a", 1)
    assert plan.next_segment() is None
    assert plan.next_clip() is None
