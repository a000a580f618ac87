"""What groups of boxes add to the scores of a sequence is its scores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation import hota
from pipeline.evaluation.evaluate import Rules, Scores, combine, evaluate, prepare, score
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.evaluation.sequence import by_object
from tests.evaluation.sequences import tracked


def _by_object(gt: MotTable, result: MotTable, starts: list[int]) -> list[Scores]:
    sequence = prepare(gt, result, Rules())
    return score(sequence, Rules(), by_object(sequence, hota.match(sequence), starts))


@given(tables=tracked(), starts=st.sets(st.integers(2, 10)))
def test_groups_sum_up_to_the_whole(tables: tuple[MotTable, MotTable], starts: set[int]) -> None:
    groups = _by_object(*tables, sorted(starts))
    objects = len(set(tables[0].ids.tolist()))
    assert len(groups) == objects + len(starts) + 1
    assert combine(groups).summary() == pytest.approx(evaluate(*tables).summary(), abs=1e-9)


def test_a_group_has_what_became_of_its_object() -> None:
    """Two objects of six frames: one changes its track, the other is missed; and a false box."""
    gt = [(frame, i, 100 * i, 0, 10, 10, 1, 1) for frame in range(1, 7) for i in (1, 2)]
    tracks = [1, 1, 1, 1, 2, 2]
    result = [(frame, track, 100, 0, 10, 10, 1, 1) for frame, track in enumerate(tracks, 1)]
    result += [(5, 3, 500, 0, 10, 10, 1, 1)]
    one, other, early, late = _by_object(table_from_rows(gt), table_from_rows(result), [4])
    assert (one.clear.tp, one.clear.fn, one.clear.fp, one.clear.idsw) == (6, 0, 0, 1)
    assert (one.clear.mt, other.clear.ml) == (1, 1)
    assert (other.clear.tp, other.clear.fn, other.clear.fp) == (0, 6, 0)
    assert (early.clear.fp, late.clear.fp, late.hota.fp[0], late.identity.idfp) == (0, 1, 1, 1)
    assert (one.identity.idtp, one.identity.idfp) == (4, 2)
    assert one.hota.ass_a[0] == pytest.approx(4 * 4 / 6 + 2 * 2 / 6)
