"""Small sequences for property tests: who is where in each frame, and who found it."""

from __future__ import annotations

from hypothesis import strategies as st

from pipeline.evaluation.mot_files import MotTable, table_from_rows


@st.composite
def tracked(draw: st.DrawFn, frames: int = 8, objects: int = 2) -> tuple[MotTable, MotTable]:
    """Ground truth of objects in places of their own, and a result that changes its mind.

    In each frame every place has an object or none, and a track or none whose box may be shifted
    so far that it overlaps by less than half.
    """
    gt, result = [], []
    for frame in range(1, frames + 1):
        free = list(range(1, objects + 3))
        for place in range(objects):
            if draw(st.booleans()):
                gt.append((frame, place + 1, 100.0 * place, 0, 10, 10, 1, 1))
            track = draw(st.sampled_from([0, 0, *free]))
            if track:
                free.remove(track)
                shift = draw(st.sampled_from([0.0, 2.0, 5.0]))
                result.append((frame, track, 100.0 * place + shift, 0, 10, 10, 1, 1))
    return table_from_rows(gt), table_from_rows(result)
