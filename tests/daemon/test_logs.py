"""The log as a process writes it: one JSON object a line, without secrets, whoever speaks."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, warnings
import structlog
from pipeline.daemon.logs import LogStyle, set_up

set_up(LogStyle(STYLE), lambda text: text.replace("s3cret", "***"))
structlog.stdlib.get_logger("sightline").info(
    "one", number=1.5, yes=True, none=None,
    deep={"a": ["s3cret", 2], "s3cret": 1}, path=ValueError("s3cret"),
)
logging.getLogger("a.library").warning("two %s", "s3cret", extra={"camera": "gate", "level": "x"})
logging.getLogger("a.library").debug("not this")
warnings.warn("three s3cret")
try:
    local = "a local variable"
    raise RuntimeError("four s3cret")
except RuntimeError:
    logging.getLogger("pipeline").exception("it failed")
"""


def said(style: str) -> str:
    program = PROGRAM.replace("STYLE", repr(style))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "s3cret" not in ended.stdout
    assert "not this" not in ended.stdout
    assert "a local variable" not in ended.stdout.replace('local = "a local variable"', "")
    return ended.stdout


def test_json_is_one_object_a_line() -> None:
    one, two, three, four = (json.loads(line) for line in said("auto").splitlines())
    assert list(one)[:3] == ["timestamp", "level", "event"]
    assert (one["event"], one["level"], one["number"], one["yes"], one["none"]) == (
        "one", "info", 1.5, True, None,
    )  # fmt: skip
    assert one["deep"] == {"a": ["***", 2], "***": 1}
    assert one["path"] == "***"
    assert (two["event"], two["level"], two["camera"]) == ("two ***", "warning", "gate")
    assert two["logger"] == "a.library"
    assert "three ***" in three["event"]
    assert four["exception"].endswith("RuntimeError: four ***")


def test_the_console_is_for_people() -> None:
    text = said("console")
    assert "two ***" in text
    assert "RuntimeError: four ***" in text
    assert not text.startswith("{")
