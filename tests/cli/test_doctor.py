import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_it_says_what_is_here(sightline: Command) -> None:
    result = sightline("doctor")
    assert result.err == ""
    for name in ("Python", "FFmpeg of", "engine onnxruntime", "open files", "time of day"):
        assert name in result.out


def test_a_configuration_that_runs(sightline: Command, street: Path) -> None:
    result = sightline("doctor", street, "--json")
    grades = {check["name"]: check["grade"] for check in json.loads(result.out)}
    assert grades["configuration"] == "ok"
    assert grades["disk for outputs.0"] == "ok"
    assert result.code == ("fail" in grades.values())
    assert not Path("out").exists()  # nothing was written


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("uri: pictures", "uri: nowhere.mp4", "nowhere.mp4: there is no such file"),
        ("workers: 2", "workers: many", "street.yaml:4"),
        ("uri: pictures", 'uri: "rtsp://u:${NOT_SET}@10.0.0.5/x"', "NOT_SET is not set"),
    ],
)
def test_a_configuration_that_does_not(
    sightline: Command, street: Path, old: str, new: str, found: str
) -> None:
    street.write_text(street.read_text().replace(old, new))
    result = sightline("doctor", street, "--json")
    assert result.code == 1
    (failed,) = (c for c in json.loads(result.out) if c["name"] == "configuration")
    assert failed["grade"] == "fail"
    assert found in failed["found"]


def test_a_configuration_that_is_not_there(sightline: Command) -> None:
    result = sightline("doctor", "nowhere.yaml")
    assert result.code == 1
    assert "nowhere.yaml" in result.out
