"""YAML to values that remember their lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.document import parse
from pipeline.config.problem import Place


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-7", -7),
        ("0x1f", 31),
        ("2.", 2.0),
        ("true", True),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("'7'", "7"),
        ('"true"', "true"),
        ("9" * 30, float("9" * 30)),
    ],
)
def test_scalars_are_read_as_yaml_1_2_reads_them(text: str, value: object) -> None:
    assert parse(f"a: {text}", "f", {}).value == {"a": value}


def test_every_key_and_value_has_its_place() -> None:
    document = parse("a:\n  - {b: 1}\n", "f.yaml", {})
    assert document.place(("a", 0, "b")) == Place("f.yaml", 2, 9)
    assert document.place(("a", 0, "b"), key=True) == Place("f.yaml", 2, 6)


def test_the_place_of_what_is_not_written_is_that_of_what_is_around_it() -> None:
    document = parse("a:\n  b: {c: 1}\n", "f.yaml", {})
    assert document.place(("a", "b", "d", "e")) == Place("f.yaml", 2, 6)
    assert document.place(("z",)) == Place("f.yaml", 1, 1)


def test_aliases_and_merge_keys() -> None:
    document = parse("a: &x {u: 1, v: 2}\nb: {v: 3, <<: *x}\nc: *x\n", "f", {})
    assert document.value["b"] == {"u": 1, "v": 3}
    assert document.value["c"] == {"u": 1, "v": 2}
    assert document.place(("b", "v"), key=True).line == 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\na: 2\n", 2, "written twice, first in line 1"),
        ("a: [1\nb: 2\n", 2, "not YAML"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: [${X}]\n", 1, "needs quotes"),
        ("a: !!python/object:os.system x\n", 1, "not allowed"),
        ("a: !secret x\n", 1, "not allowed"),
        ("[a]: 1\n? {b: c}\n: 2\n", 1, "a key must be a word"),
        ("a: &a [*a]\n", 1, "circle"),
        ("a: 1\n---\nb: 2\n", 2, "not YAML"),
        ("a: \x01\n", 0, "not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, words: str) -> None:
    first = parse(text, "f.yaml", {}).problems[0]
    assert first.place.line == line
    assert words in str(first)


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    document = parse("\n".join(lines), "f", {})
    assert any("blow up" in str(problem) for problem in document.problems)
    assert len(document.places) < 200_000


@given(st.text(max_size=60))
def test_no_text_makes_it_fall_over(text: str) -> None:
    document = parse(text, "f", {})
    assert document.name == "f"
    for problem in document.problems:
        assert str(problem).startswith("f")
