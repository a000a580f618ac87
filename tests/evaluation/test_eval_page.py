"""The page: whole, harmless, and with all there is to say."""

from __future__ import annotations

from pipeline.evaluation.assessment import Assessment, Result, assess
from pipeline.evaluation.bootstrap import compare_sequences
from pipeline.evaluation.eval_page import eval_page
from pipeline.evaluation.evaluate import Rules, combine, prepare, score
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.evaluation.pictures import Shot
from pipeline.evaluation.report import COMBINED
from tests.page.reading import read

NASTY = "<script>alert(1)</script>"
RULES = Rules()


def _gt(objects: int = 6) -> MotTable:
    ids = range(1, objects + 1)
    return table_from_rows([(f, i, 100 * i, 0, 10, 10, 1, 1) for f in range(1, 9) for i in ids])


def _result(gt: MotTable) -> MotTable:
    """Each object changes its track with frame 5 and is missed in frame 7; and a false track."""
    ids = gt.ids + 1000 * (gt.frames >= 5)
    found = MotTable(gt.frames, ids, gt.boxes_xywh, gt.scores, gt.classes)
    rows = [
        (*row, 1, 1)
        for row in zip(found.frames, found.ids, *found.boxes_xywh.T, strict=True)
        if row[0] != 7
    ]
    return table_from_rows([*rows, (7, 9000, 99999, 0, 10, 10, 1, 1)])


def _scored(name: str, tables: dict[str, tuple[MotTable, MotTable]]) -> Result:
    sequences = {of: prepare(*pair, RULES) for of, pair in tables.items()}
    scores = {of: score(sequence, RULES)[0] for of, sequence in sequences.items()}
    if len(scores) > 1:
        scores[COMBINED] = combine(scores.values())
    return Result(name, sequences, scores)


def _assessed(result: Result) -> list[Assessment]:
    return [assess(*item, RULES) for item in result.sequences.items()]


def test_all_is_there() -> None:
    result = _scored("out/{seq}.txt", {name: (_gt(), _result(_gt())) for name in (NASTY, "yard")})
    assessments = _assessed(result)
    shot = Shot(assessments[1].switches[0], b"\xff\xd8", 40, 30)
    page = eval_page([result], assessments, RULES, {"yard": [shot]})
    found = read(page)
    assert found.anchors[1:] == found.ids[1:]
    assert "comparison" not in found.ids
    assert ["yard", "5", "1", "1", "1001", "4"] in found.rows  # a switch
    assert ["yard", "1", "6", "8", "1001", "1001"] in found.rows  # a fragmentation
    assert ["yard", "9000", "7", "7", "1", "0"] in found.rows  # a false track
    assert COMBINED in [row[0] for row in found.rows]
    assert [row for row in found.rows if row[0] == NASTY]
    assert "track 1001, frames 5 to 6" in found.listed("title")
    assert "missed, frames 7 to 7" in found.listed("title")
    assert "frame 5: 1 → 1001" in found.listed("title")
    assert "Of 1 of 12 switches" in found.text("p")
    assert 'src="data:image/jpeg;base64,/9g=" width="40" height="30"' in page
    assert "script" not in found.tags
    assert "://" not in page


def test_another_result_beside_it() -> None:
    tables = {"yard": (_gt(), _result(_gt()))}
    one, other = _scored("ours.txt", tables), _scored("theirs.txt", {"yard": (_gt(), _gt())})
    sequences = [(one.sequences["yard"], other.sequences["yard"], 10.0)]
    comparison = compare_sequences(sequences, RULES)
    found = read(eval_page([one, other], _assessed(one), RULES, {}, comparison))
    assert "comparison" in found.ids
    assert "over 6 objects" in found.text("p")
    [row] = [row for row in found.rows if row[0] == "IDSW" and len(row) == 6]
    assert row == ["IDSW", "6", "0", "6", "6.0 … 6.0", "0.0 %"]


def test_what_is_too_much_is_cut_and_said() -> None:
    gt = _gt(objects=320)
    result = _scored("much.txt", {"crowd": (gt, _result(gt))})
    found = read(eval_page([result], _assessed(result), RULES, {}))
    assert "40 of 320 objects, those with the most switches first." in found.text("p")
    assert "The first 300 of 320." in found.text("p")
    listed = [row for row in found.rows if len(row) == 6 and "".join(row[1:]).isdecimal()]
    assert len(listed) == 300 + 300 + 1


def test_nothing_was_found_in_nothing() -> None:
    empty = table_from_rows([])
    for gt, result in ((empty, empty), (_gt(), empty), (empty, _gt())):
        scored = _scored("empty.txt", {"yard": (gt, result)})
        found = read(eval_page([scored], _assessed(scored), RULES, {}))
        assert "None." in found.text("p")
