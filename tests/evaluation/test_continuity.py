"""Switches and fragmentations are found where they are, and as many as are scored."""

from __future__ import annotations

from hypothesis import given

from pipeline.evaluation.clear import match
from pipeline.evaluation.continuity import Event, events, fragmentations, switches
from pipeline.evaluation.evaluate import Rules, prepare, score
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.evaluation.sequence import Matches, Sequence
from tests.evaluation.sequences import tracked


def _by_following(sequence: Sequence, matches: Matches) -> tuple[list[Event], list[Event]]:
    """The same by following each object with a dictionary."""
    had: dict[int, tuple[int, int]] = {}
    switched, resumed = [], []
    for number, step in enumerate(sequence.steps):
        here = [row for row in range(len(matches)) if matches.step[row] == number]
        for row in here:
            gt, track = int(matches.gt[row]), int(matches.result[row])
            if gt in had:
                since, before = had[gt]
                event = Event(
                    step.frame,
                    int(sequence.gt_ids[gt]),
                    int(sequence.result_ids[before]),
                    int(sequence.result_ids[track]),
                    sequence.steps[since].frame,
                )
                switched += [event] if before != track else []
                resumed += [event] if number - since > 1 else []
            had[gt] = number, track
    return switched, resumed


@given(tables=tracked())
def test_events_are_those_of_each_object_followed_through_time(
    tables: tuple[MotTable, MotTable],
) -> None:
    sequence = prepare(*tables, Rules())
    matches = match(sequence)
    switched, resumed = _by_following(sequence, matches)
    assert events(sequence, matches, switches(matches)) == switched
    assert events(sequence, matches, fragmentations(matches)) == resumed
    [scores] = score(sequence, Rules())
    assert (scores.clear.idsw, scores.clear.frag) == (len(switched), len(resumed))


def test_an_event_has_the_frames_and_identities_of_the_files() -> None:
    gt = table_from_rows([(frame, 70, 0, 0, 10, 10, 1, 1) for frame in (5, 6, 7, 8, 9)])
    tracks = {5: 30, 6: 30, 9: 20}
    result = [(frame, track, 0, 0, 10, 10, 1, 1) for frame, track in tracks.items()]
    elsewhere = [(frame, 90, 500, 0, 10, 10, 1, 1) for frame in (7, 8)]
    sequence = prepare(gt, table_from_rows(result + elsewhere), Rules())
    matches = match(sequence)
    event = Event(frame=9, gt_id=70, before=30, after=20, since=6)
    assert events(sequence, matches, switches(matches)) == [event]
    assert events(sequence, matches, fragmentations(matches)) == [event]
