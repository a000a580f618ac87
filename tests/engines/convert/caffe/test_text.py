"""The reader of protobuf's text format."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engines import ProgramError
from engines.convert.caffe.text import MAX_BYTES, Message, Scalar, parse, read_text
from tests.engines.convert.caffe.caffe_files import refusal

WORDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.recursive(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12)
    | st.integers(-(2**31), 2**31 - 1),
    lambda inner: st.dictionaries(WORDS, st.lists(inner, min_size=1, max_size=3), max_size=4),
    max_leaves=20,
)
TREES = st.dictionaries(WORDS, st.lists(VALUES, min_size=1, max_size=3), max_size=4)


def _write(tree: dict) -> str:
    lines = []
    for name, values in tree.items():
        for value in values:
            if isinstance(value, dict):
                lines.append(f"{name} {{ # a message\n{_write(value)}}}")
            else:
                lines.append(f"{name}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def _plain(message: Message) -> dict:
    return {
        name: [value.text if isinstance(value, Scalar) else _plain(value) for value in values]
        for name, values in message.fields.items()
    }


def _as_text(tree: dict) -> dict:
    return {
        name: [_as_text(value) if isinstance(value, dict) else str(value) for value in values]
        for name, values in tree.items()
    }


@settings(max_examples=40)
@given(TREES)
def test_what_was_written_is_read(tree: dict) -> None:
    assert _plain(parse(_write(tree), "net")) == _as_text(tree)


@given(st.text(max_size=200))
@example('a: "\\400"')
@example("a { b: [1, {c: 2}] } }")
def test_any_text_is_a_message_or_a_program_error(text: str) -> None:
    found = refusal(lambda: parse(text, "net"))
    assert found is None or found.startswith("net:")


def test_every_way_of_writing_means_the_same() -> None:
    ways = ["a { b: 1 b: 2 }", "a: { b: 1, b: 2 }", "a < b: 1; b: 2 >", "a{b:[1,2]}",
            "a { b: 1 } # one\na { b: 2 }"]  # fmt: skip
    assert {tuple(parse(way, "net").message("a").integers("b")) for way in ways} == {(1, 2)}


def test_values_are_read_as_the_type_asked_for() -> None:
    message = parse(
        r"""i: -0x10 o: 010 f: 1.5e-3f s: 'it''s' " \"\x41\102\n" t: true e: MAX e: AVE d: .5""",
        "net",
    )
    assert message.integer("i", 0, low=-99) == -16
    assert message.integer("o", 0) == 8
    assert message.number("f", 0.0) == 1.5e-3
    assert message.number("d", 0.0) == 0.5
    assert message.string("s") == 'its "AB\n'
    assert message.boolean("t", False)
    assert message.string("e") == "AVE"  # the last counts
    assert message.integer("absent", 7) == 7


@pytest.mark.parametrize(
    ("text", "read", "words"),
    [
        ("a: 1.5", lambda m: m.integer("a", 0), "a: expected a whole number, found '1.5'"),
        ("a: 99999999999", lambda m: m.integer("a", 0), "expected 0 to 2147483647"),
        ("a: " + "9" * 9999, lambda m: m.integer("a", 0), "expected 0 to 2147483647"),
        ("a: nan", lambda m: m.number("a", 0.0), "a: expected a number, found 'nan'"),
        ("a: maybe", lambda m: m.boolean("a", False), "expected true or false, found 'maybe'"),
        ("\n\na: 1", lambda m: m.message("a"), "a in line 3: expected a message in braces"),
        ("a {}", lambda m: m.string("a"), "expected a single value"),
    ],
)
def test_a_value_of_another_type_is_named(text: str, read: object, words: str) -> None:
    with pytest.raises(ProgramError) as caught:
        read(parse(text, "net"))  # type: ignore[operator]
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb {\n", "net:3: expected the name of a field, found 'the end of the file'"),
        ("a: 1\n}", "net:2: expected the name of a field, found '}'"),
        ("a: [1, 2", "expected ',' or ']'"),
        ('a: "open\n', "net:1: unexpected '\"'"),
        ("a", "expected a value"),
        ("a {" * 200, "100 deep at most"),
    ],
)
def test_a_fault_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ProgramError) as caught:
        parse(text, "net")
    assert words in str(caught.value)


def test_weights_given_as_text_are_recognised(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "net.prototxt"
    path.write_bytes(b"\x0a\x03net\xa2\x06\xff\xfe")
    with pytest.raises(ProgramError, match=r"no UTF-8 text.*are weights given"):
        read_text(path)
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ProgramError, match="more than 16 MiB"):
        read_text(path)
