"""What became of each object, by hand and against the counts."""

from __future__ import annotations

from hypothesis import given

from pipeline.evaluation.assessment import assess
from pipeline.evaluation.evaluate import Rules, evaluate, prepare
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.evaluation.timeline import FalseTrack, Span
from tests.evaluation.sequences import tracked


def _row(frame: int, identity: int, left: float) -> tuple[float, ...]:
    return (frame, identity, left, 0, 10, 10, 1, 1)


def test_lanes_and_false_tracks() -> None:
    """Object 1 is away in frame 4, missed in 5; object 2 has one track; 30 is mostly nowhere."""
    gt = [_row(frame, 1, 0) for frame in (1, 2, 3, 5, 6, 7)] + [_row(f, 2, 100) for f in (2, 3)]
    result = [_row(frame, 10, 0) for frame in (1, 2)] + [_row(f, 20, 0) for f in (3, 6, 7)]
    result += [_row(2, 21, 100), _row(3, 21, 100)]
    result += [_row(frame, 30, 500) for frame in (1, 4, 6)] + [_row(7, 31, 700)]
    tables = table_from_rows(gt), table_from_rows(result)
    found = assess("street", prepare(*tables, Rules()), Rules())
    assert [lane.gt_id for lane in found.lanes] == [1, 2]
    switched, steady = found.lanes
    assert switched.spans == (Span(1, 2, 10), Span(3, 3, 20), Span(5, 5, None), Span(6, 7, 20))
    assert [(event.frame, event.before, event.after) for event in switched.switches] == [
        (3, 10, 20)
    ]
    assert steady.spans == (Span(2, 3, 21),)
    assert steady.switches == ()
    assert found.false_tracks == [FalseTrack(30, 1, 6, 3, 0), FalseTrack(31, 7, 7, 1, 0)]


@given(tables=tracked())
def test_lanes_hold_every_box_of_the_ground_truth(tables: tuple[MotTable, MotTable]) -> None:
    found = assess("street", prepare(*tables, Rules()), Rules())
    frames = [
        (lane.gt_id, frame, span.track)
        for lane in found.lanes
        for span in lane.spans
        for frame in range(span.first, span.last + 1)
    ]
    boxes = zip(tables[0].ids.tolist(), tables[0].frames.tolist(), strict=True)
    assert sorted((gt_id, frame) for gt_id, frame, _ in frames) == sorted(boxes)
    clear = evaluate(*tables).clear
    assert sum(track is not None for _, _, track in frames) == clear.tp
    assert sum(len(lane.switches) for lane in found.lanes) == clear.idsw
    assert sum(track.boxes - track.matched for track in found.false_tracks) <= clear.fp


def test_nothing_at_all() -> None:
    empty = table_from_rows([])
    found = assess("nothing", prepare(empty, empty, Rules()), Rules())
    assert (found.lanes, found.switches, found.fragmentations, found.false_tracks) == ([],) * 4
