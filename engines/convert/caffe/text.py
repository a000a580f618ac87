"""Protocol Buffers text format, as much of it as a ``.prototxt`` uses.

Grammar: https://protobuf.dev/reference/protobuf/textformat-spec. No schema is needed: a message is
its fields by name, and a layer asks for each with the type and the default of Caffe's
``caffe.proto``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engines.errors import ProgramError

#: A description of a network is some hundred kilobytes; weights lie in another file.
MAX_BYTES = 16 << 20
#: As protobuf's own parsers have it.
MAX_DEPTH = 100
MAX_INT = 2**31 - 1

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+|\#[^\n]*)
    |(?P<newline>\n)
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
    |(?P<word>[-+]?[A-Za-z0-9_.][A-Za-z0-9_.+-]*)
    |(?P<mark>[{}<>\[\]:;,])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\([0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_TRUE, _FALSE = ("true", "True", "t", "1"), ("false", "False", "f", "0")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that is no message, as it was written; `text` of a string is without its quotes."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Message:
    """Fields by name, each with every value it was given.

    Attributes:
        where: file and line it begins in, for errors.
        line: it begins in, from 1.
        fields: in the order they were written.
    """

    where: str
    line: int
    fields: dict[str, list[Scalar | Message]] = field(default_factory=dict)

    def message(self, name: str) -> Message:
        """A field that is a message, merged where it was given more than once; empty if absent."""
        merged = Message(self.where, self.line)
        for part in self.messages(name):
            for key, values in part.fields.items():
                merged.fields.setdefault(key, []).extend(values)
        return merged

    def messages(self, name: str) -> list[Message]:
        """A repeated field of messages."""
        return [self._as(value, Message, name) for value in self.fields.get(name, ())]

    def strings(self, name: str) -> list[str]:
        """A repeated field of strings or names of an enumeration."""
        return [self._as(value, Scalar, name).text for value in self.fields.get(name, ())]

    def string(self, name: str, default: str = "") -> str:
        """A string or a name of an enumeration; the last counts, as in protobuf."""
        return (self.strings(name) or [default])[-1]

    def integers(self, name: str, low: int = 0, high: int = MAX_INT) -> list[int]:
        """A repeated field of whole numbers within `low` and `high`."""
        return [self._integer(name, text, low, high) for text in self.strings(name)]

    def integer(self, name: str, default: int, low: int = 0, high: int = MAX_INT) -> int:
        """A whole number within `low` and `high`."""
        return (self.integers(name, low, high) or [default])[-1]

    def numbers(self, name: str) -> list[float]:
        """A repeated field of finite numbers."""
        return [self._number(name, text) for text in self.strings(name)]

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        return (self.numbers(name) or [default])[-1]

    def boolean(self, name: str, default: bool) -> bool:
        """A truth value."""
        text = self.string(name, _TRUE[0] if default else _FALSE[0])
        if text not in (*_TRUE, *_FALSE):
            raise ProgramError(f"{self.where}: {name}: expected true or false, found {text!r}")
        return text in _TRUE

    def _as(self, value: Scalar | Message, kind: type[_T], name: str) -> _T:
        if not isinstance(value, kind):
            wanted = "a message in braces" if kind is Message else "a single value"
            raise ProgramError(f"{self.where}: {name} in line {value.line}: expected {wanted}")
        return value

    def _integer(self, name: str, text: str, low: int, high: int) -> int:
        try:
            # Longer ones are out of any range, and Python refuses very long ones otherwise.
            value = int(text[:40], 0) if not re.fullmatch(r"-?0[0-7]+", text) else int(text, 8)
        except ValueError:
            raise ProgramError(
                f"{self.where}: {name}: expected a whole number, found {text[:40]!r}"
            ) from None
        if not low <= value <= high:
            raise ProgramError(f"{self.where}: {name}: expected {low} to {high}, found {text[:40]}")
        return value

    def _number(self, name: str, text: str) -> float:
        try:
            value = float(text.rstrip("fF") if not text.lower().endswith("inf") else text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ProgramError(f"{self.where}: {name}: expected a number, found {text[:40]!r}")
        return value


def read_text(path: Path) -> Message:
    """Reads a file in text format.

    Raises:
        ProgramError: it cannot be read, is too big, or is not text format; with its line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProgramError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ProgramError(
            f"{path}: more than {MAX_BYTES >> 20} MiB; a .prototxt is text, are weights given?"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProgramError(
            f"{path}: byte {error.start} is no UTF-8 text; a .prototxt is text, are weights given?"
        ) from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Message:
    """Parses text format.

    Args:
        text: of a whole message.
        name: of the file, for errors.

    Raises:
        ProgramError: with file, line, what was expected and what was found.
    """
    return _Parser(text, name).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def _tokens(text: str, name: str) -> Iterator[_Token]:
    line, position = 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ProgramError(f"{name}:{line}: unexpected {text[position]!r}")
        position, kind = match.end(), match.lastgroup or ""
        if kind == "newline":
            line += 1
        elif kind != "space":
            yield _Token(kind, match.group(), line)
    yield _Token("end", "the end of the file", line)


class _Parser:
    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._tokens = _tokens(text, name)
        self._next = next(self._tokens)

    def whole(self) -> Message:
        return self._message("end", 1, 0)

    def _message(self, closing: str, line: int, depth: int) -> Message:
        """Fields up to the token that closes the message, which is consumed."""
        if depth > MAX_DEPTH:
            raise self._error(f"messages within messages {MAX_DEPTH} deep at most")
        message = Message(f"{self._name}:{line}", line)
        while not self._ends(closing):
            key = self._take("word", "the name of a field").text
            values = message.fields.setdefault(key, [])
            if self._skip(":") and self._skip("["):
                self._list(values, depth)
            else:
                values.append(self._value(depth))
            self._skip(",", ";")
        self._advance()
        return message

    def _list(self, values: list[Scalar | Message], depth: int) -> None:
        while not self._skip("]"):
            values.append(self._value(depth))
            if self._next.text != "]":
                self._take(",", "',' or ']'")

    def _value(self, depth: int) -> Scalar | Message:
        token = self._next
        if token.text in ("{", "<"):
            self._advance()
            return self._message("}" if token.text == "{" else ">", token.line, depth + 1)
        if token.kind == "string":
            return Scalar(self._string(), token.line)
        return Scalar(self._take("word", "a value").text, token.line)

    def _string(self) -> str:
        """One string: several in a row are one."""
        parts = []
        while self._next.kind == "string":
            parts.append(_ESCAPE.sub(_unescape, self._advance().text[1:-1]))
        return "".join(parts)

    def _ends(self, closing: str) -> bool:
        return closing in (self._next.kind, self._next.text if self._next.kind == "mark" else "")

    def _skip(self, *marks: str) -> bool:
        found = self._next.kind == "mark" and self._next.text in marks
        if found:
            self._advance()
        return found

    def _take(self, wanted: str, description: str) -> _Token:
        if wanted not in (self._next.kind, self._next.text):
            raise self._error(f"expected {description}, found {self._next.text[:40]!r}")
        return self._advance()

    def _advance(self) -> _Token:
        token = self._next
        self._next = next(self._tokens, token)
        return token

    def _error(self, text: str) -> ProgramError:
        return ProgramError(f"{self._name}:{self._next.line}: {text}")


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "xX" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _ESCAPED.get(code, code)
