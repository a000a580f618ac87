"""The command `sightline eval`."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.cli import eval as eval_command
from pipeline.errors import DataError
from tests.page.reading import read

CASES = Path(__file__).parents[1] / "evaluation" / "cases"
RESULT = str(CASES / "{seq}" / "result.txt")


def _run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command("eval")(eval_command.command)
    return CliRunner().invoke(app, list(arguments))


def _case(name: str, *arguments: str) -> Result:
    return _run(str(CASES / name / "gt" / "gt.txt"), str(CASES / name / "result.txt"), *arguments)


def test_table_of_one_sequence() -> None:
    outcome = _case("case-0")
    assert outcome.exit_code == 0
    assert "case-0" in outcome.output
    assert "MOTA" in outcome.output
    assert "combined" not in outcome.output


def test_folder_of_sequences_equals_its_pairs() -> None:
    names = [f"case-{number}" for number in range(5)]
    folder = json.loads(_run(str(CASES), RESULT, "--json", "--benchmark", "mot17").output)
    paths = [p for n in names for p in (str(CASES / n), str(CASES / n / "result.txt"))]
    pairs = json.loads(_run(*paths, "--json", "--benchmark", "MOT17").output)
    assert list(folder) == [*names, "combined"]
    assert folder == pairs


def test_folder_of_results(tmp_path: Path) -> None:
    for number in range(5):
        text = (CASES / f"case-{number}" / "result.txt").read_text()
        (tmp_path / f"case-{number}.txt").write_text(text)
    plain = _run(str(CASES), str(tmp_path), "--json")
    assert plain.output == _run(str(CASES), RESULT, "--json").output


def test_detections() -> None:
    scores = json.loads(_run(str(CASES), RESULT, "--detections", "--json").output)
    assert scores["case-0"].keys() == {"AP50"}
    assert 0 < scores["combined"]["AP50"] < scores["case-0"]["AP50"]


@pytest.mark.parametrize(
    ("limit", "exit_code", "said"),
    [
        (["--min", "mota=75", "--min", "idf1=75"], 0, ""),
        (["--min", "MOTA=99.9"], 1, "below 99.9"),
        (["--max", "fn=0"], 1, "above 0"),
        (["--max", "idsw=100"], 0, ""),
    ],
)
def test_limits(limit: list[str], exit_code: int, said: str) -> None:
    outcome = _case("case-0", "--benchmark", "MOT15", *limit)
    assert outcome.exit_code == exit_code
    assert said in outcome.output


def test_another_result_is_compared(tmp_path: Path) -> None:
    for number in range(5):
        lines = (CASES / f"case-{number}" / "result.txt").read_text().splitlines()[::2]
        (tmp_path / f"case-{number}.txt").write_text("\n".join(lines))
    outcome = _run(str(CASES), RESULT, "--against", str(tmp_path), "--json")
    found = json.loads(outcome.output)
    assert found["result"] == json.loads(_run(str(CASES), RESULT, "--json").output)
    assert found["against"] == json.loads(_run(str(CASES), str(tmp_path), "--json").output)
    hota = found["comparison"]["differences"]["HOTA"]
    assert hota["one"] == pytest.approx(found["result"]["combined"]["HOTA"])
    assert 0 < hota["low"] < hota["difference"] < hota["high"]
    table = _run(str(CASES), RESULT, "--against", str(tmp_path)).output
    assert f"A − B, over {found['comparison']['units']} objects" in table
    assert f"B: {tmp_path}" in table


def test_page(tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    outcome = _run(str(CASES), RESULT, "--html", str(page))
    assert outcome.exit_code == 0
    assert "combined" in read(page.read_text()).text("td")
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_page_with_the_pictures_there_are(tmp_path: Path) -> None:
    for frame in range(20):
        path = tmp_path / "case-0" / f"{frame}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((240, 320, 3), 90, np.uint8))
    page = tmp_path / "page.html"
    pictures = ("--pictures", str(tmp_path / "{seq}"), "--max-pictures", "1")
    outcome = _run(str(CASES), RESULT, "--html", str(page), *pictures)
    assert outcome.exit_code == 0
    assert "case-1: no pictures" in outcome.output
    assert page.read_text().count("data:image/jpeg") == 1


def test_scaled_ground_truth() -> None:
    scores = json.loads(_case("case-0", "--json", "--gt-scale", "0.5").output)
    assert scores["case-0"]["MOTA"] < 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([str(CASES)], "odd number of paths"),
        ([str(CASES), "nowhere/{seq}.txt"], "nowhere/case-0.txt: no such file"),
        (["nowhere.txt", RESULT], "no such file"),
        ([str(CASES.parent), RESULT], "holds neither gt/gt.txt nor folders"),
        ([str(CASES), RESULT, str(CASES / "case-0"), RESULT], "two sequences are called case-0"),
        ([str(CASES), RESULT, "--min", "mota"], "mota=75"),
        ([str(CASES), RESULT, "--min", "beauty=1"], "no score is called 'beauty'"),
        ([str(CASES), RESULT, "--classes", "person"], "--classes: expected numbers"),
        ([str(CASES), RESULT, "--classes", "1", "--benchmark", "MOT17"], "pedestrians only"),
        ([str(CASES), RESULT, "--gt-scale", "0"], "--gt-scale: expected a number above 0"),
        ([str(CASES), str(CASES / "case-0" / "result.txt")], "one file cannot be the result of 5"),
        ([str(CASES), RESULT, "--against", "nowhere"], "looked for as that of sequence case-0"),
        ([str(CASES), RESULT, "--detections", "--html", "a.html"], "leave out --detections"),
        ([str(CASES), RESULT, "--pictures", "{seq}.mp4"], "add --html"),
        ([str(CASES), RESULT, "--html", "a", "--pictures", "a.mp4"], "write {seq} where the name"),
        ([str(CASES), RESULT, "--iou", "1.5"], "--iou: expected a number above 0 and not above 1"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], complaint: str) -> None:
    outcome = _run(*arguments)
    assert isinstance(outcome.exception, DataError)
    assert complaint in str(outcome.exception)


def test_a_result_longer_than_its_sequence_is_refused(tmp_path: Path) -> None:
    result = tmp_path / "result.txt"
    result.write_text("21,1,10,20,30,40,1,-1,-1,-1\n")
    outcome = _run(str(CASES / "case-0"), str(result))
    assert isinstance(outcome.exception, DataError)
    assert "has frame 21, but the sequence case-0 has 20 frames" in str(outcome.exception)


@pytest.mark.parametrize(
    "info",
    ["seqLength=20\n", "[Sequence]\nseqLength=many\n", "[Sequence]\nframeRate=0\n", "\0\xff"],
)
def test_a_description_of_a_sequence_that_is_none(tmp_path: Path, info: str) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "gt.txt").write_text("1,1,10,20,30,40,1,-1,-1,-1\n")
    (tmp_path / "seqinfo.ini").write_text(info)
    outcome = _run(str(tmp_path), str(tmp_path / "gt" / "gt.txt"))
    assert isinstance(outcome.exception, DataError)
    assert "seqinfo.ini" in str(outcome.exception)
