"""What the outputs list may say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.output.address import Address, parse_address
from pipeline.output.spec import FileSpec, OutputSpec


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9000", Address("127.0.0.1", 9000)),
        ("viewer.example:1", Address("viewer.example", 1)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "host", ":9000", "h:", "h:x", "h:-1", "h:65536", "::1:9000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_address(text)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("a.jsonl", "jsonl"),
        ("a.CSV", "csv"),
        ("a.mot.txt", "mot"),
        ("{camera}.txt", "mot"),
        ("a.Coco.json", "coco"),
    ],
)
def test_a_suffix_tells_the_format(path: str, form: str) -> None:
    assert FileSpec(path=path).file_format == form


def test_a_format_that_is_said_wins_over_the_suffix() -> None:
    assert FileSpec(path="a.txt", format="csv").file_format == "csv"


@pytest.mark.parametrize("kind", ["udp", "file", "events", "annotate"])
def test_an_output_is_one_of_its_kinds(kind: str) -> None:
    said: dict[str, Any] = {
        "udp": {"to": "127.0.0.1:9000"},
        "file": {"path": "a.csv"},
        "events": {"path": "a.csv", "pictures": "evidence"},
        "annotate": {"path": "a.mp4", "trails_s": 3},
    }
    output = OutputSpec.model_validate({kind: said[kind]})
    assert output.name == kind
    assert output.spec is getattr(output, kind)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "exactly one"),
    "two at once": ({"udp": {"to": "h:1"}, "file": {"path": "a.csv"}}, "udp and file"),
    "an unknown key": ({"udp": {"to": "h:1", "fromat": "json"}}, "fromat"),
    "port 0": ({"udp": {"to": "h:0"}}, "1 to 65535"),
    "an mtu below IPv4's least": ({"udp": {"to": "h:1", "mtu": 500}}, "576"),
    "an mtu in words": ({"udp": {"to": "h:1", "mtu": "1500"}}, "integer"),
    "an unknown suffix": ({"file": {"path": "a.xml"}}, "set 'format'"),
    "an empty path": ({"file": {"path": ""}}, "path"),
    "a video that is none": ({"annotate": {"path": "a.gif"}}, "end in .mp4"),
    "rotation without a name for each": (
        {"annotate": {"path": "a.mp4", "rotate_s": 60}},
        r"a-\{start\}\.mp4",
    ),
    "a start that only a folder has": ({"file": {"path": "{start}/a.csv", "keep_h": 1}}, "start"),
    "no time at all": ({"file": {"path": "{start}.csv", "rotate_s": 0}}, "rotate_s"),
    "a negative trail": ({"annotate": {"path": "a.mp4", "trails_s": -1}}, "trails_s"),
}


@pytest.mark.parametrize(("said", "named"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(said: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        OutputSpec.model_validate(said)
