"""``${NAME}`` in values, and that nothing of it is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import loads
from pipeline.config.document import parse
from pipeline.config.variables import Secrets, VariableError, substitute
from pipeline.errors import ConfigError

ENVIRONMENT = {"NAME": "yard", "N": "3", "EMPTY": "", "EVIL": "x\nrun: {queue: 1}"}
PASSWORD = "hush-1234"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${NAME}", "yard"),
        ("a-${NAME}-${N}", "a-yard-3"),
        ("${NAME:-gate}", "yard"),
        ("${NONE:-gate}", "gate"),
        ("${NONE:-}", ""),
        ("${EMPTY:-gate}", "gate"),
        ("${EMPTY}", ""),
        ("$${NAME}", "${NAME}"),
        ("5$", "5$"),
        ("$NAME", "$NAME"),
    ],
)
def test_references_are_replaced(text: str, value: str) -> None:
    assert substitute(text, ENVIRONMENT, Secrets()) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${NONE}", "the environment variable NONE is not set"),
        ("${file:/no/such/file}", "No such file"),
        ("${file:/\0}", "cannot be read"),
        ("${}", "is not a reference"),
        ("${a b}", "is not a reference"),
    ],
)
def test_a_reference_that_leads_nowhere_says_so(text: str, words: str) -> None:
    with pytest.raises(VariableError, match=words):
        substitute(text, ENVIRONMENT, Secrets())


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hush\n")
    assert substitute(f"${{file:{tmp_path}/key}}", {}, Secrets()) == "hush"


def test_a_plain_value_gets_its_type_after_substitution_a_quoted_one_stays_text() -> None:
    document = parse('a: ${N}\nb: "${N}"\n', "f", ENVIRONMENT)
    assert document.value == {"a": 3, "b": "3"}


def test_a_variable_cannot_add_keys() -> None:
    assert parse("a: ${EVIL}\n", "f", ENVIRONMENT).value == {"a": ENVIRONMENT["EVIL"]}


CAMERA = (
    'cameras: [{id: gate, uri: "rtsp://viewer:${PW}@10.0.0.5/s"%s}]\nstages: {detect: {model: m}}'
)


def test_a_password_is_in_the_value_and_nowhere_else() -> None:
    config = loads(CAMERA % "", environment={"PW": PASSWORD})
    assert config.cameras[0].uri == f"rtsp://viewer:{PASSWORD}@10.0.0.5/s"
    assert PASSWORD not in repr(config)
    assert PASSWORD not in str(config.redacted())
    assert "10.0.0.5/s" in str(config.redacted())


@pytest.mark.parametrize(
    "rest",
    [
        ', pace: "${PW}"',
        ', "${PW}x": 1',
        ', max_fps: "${PW}"',
        ', pace: "x-${PW}-y"',
    ],
)
def test_a_password_is_in_no_error(rest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(CAMERA % rest, environment={"PW": PASSWORD})
    assert PASSWORD not in str(caught.value)


def test_a_password_written_into_the_file_is_not_dumped() -> None:
    config = loads((CAMERA % "").replace("${PW}", PASSWORD), environment={})
    assert PASSWORD not in str(config.redacted())
    assert PASSWORD not in repr(config)
