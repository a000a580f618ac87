"""What parts of a sequence add to its scores is its scores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.evaluate import Rules, combine, evaluate, prepare, score
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from tests.evaluation.sequences import tracked


@given(tables=tracked(), starts=st.sets(st.integers(2, 10)))
def test_parts_sum_up_to_the_whole(tables: tuple[MotTable, MotTable], starts: set[int]) -> None:
    parts = score(prepare(*tables, Rules()), Rules(), sorted(starts))
    assert len(parts) == len(starts) + 1
    assert combine(parts).summary() == pytest.approx(evaluate(*tables).summary(), abs=1e-9)


def test_a_part_has_what_happens_in_it() -> None:
    """One object of six frames; the track changes with frame 4, and frame 6 is missed."""
    gt = table_from_rows([(frame, 1, 0, 0, 10, 10, 1, 1) for frame in range(1, 7)])
    tracks = [1, 1, 1, 2, 2]
    result = [(frame, track, 0, 0, 10, 10, 1, 1) for frame, track in enumerate(tracks, 1)]
    one, other = score(prepare(gt, table_from_rows(result), Rules()), Rules(), [4])
    assert (one.clear.tp, one.clear.fn, one.clear.idsw, one.clear.mt) == (3, 0, 0, 1)
    assert (other.clear.tp, other.clear.fn, other.clear.idsw, other.clear.mt) == (2, 1, 1, 0)
    assert (one.identity.idtp, other.identity.idtp) == (3, 0)
    # of all six frames, not of the part's three: A(c) = 3 / 6 and 2 / 6 for each match
    assert one.hota.ass_a[0] == pytest.approx(3 * 3 / 6)
    assert other.hota.ass_a[0] == pytest.approx(2 * 2 / 6)
