"""The command `sightline eval`."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.cli import eval as eval_command
from pipeline.errors import DataError

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
