"""Protocol Buffers wire format, read without a schema.

Encoding: https://protobuf.dev/programming-guides/encoding. Nothing is copied: a value that has a
length is a view into the file's bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from engines.errors import ProgramError

_LONGEST_VARINT = 10
_FIXED = {1: 8, 5: 4}


class Wire(IntEnum):
    """How a value is written."""

    VARINT = 0
    FIXED64 = 1
    LENGTH = 2
    FIXED32 = 5


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes of one message within a file.

    Attributes:
        file: its name, for errors.
        data: of the whole file.
        start: of the message.
        end: of the message.
    """

    file: str
    data: memoryview
    start: int
    end: int

    @property
    def content(self) -> memoryview:
        """The message's bytes, not copied."""
        return self.data[self.start : self.end]

    def fields(self) -> Iterator[Field]:
        """Every field in the order it was written.

        Raises:
            ProgramError: the bytes are no message; with the offset in the file.
        """
        position = self.start
        while position < self.end:
            begin = position
            key, position = self.varint(position)
            number, kind = key >> 3, key & 7
            if number == 0:
                raise self._error(begin, "field number 0")
            if kind == Wire.VARINT:
                value, position = self.varint(position)
                yield Field(number, Wire.VARINT, Message(self.file, self.data, begin, begin), value)
                continue
            if kind == Wire.LENGTH:
                length, position = self.varint(position)
            elif kind in _FIXED:
                length = _FIXED[kind]
            else:
                raise self._error(begin, f"wire type {kind} of field {number}")
            if length > self.end - position:
                raise self._error(
                    begin,
                    f"field {number} is {length} bytes long, but {self.end - position} are left",
                )
            body = Message(self.file, self.data, position, position + length)
            yield Field(number, Wire(kind), body)
            position += length

    def varint(self, position: int) -> tuple[int, int]:
        """The whole number at `position`, and where it ends. Raises `ProgramError`."""
        value = 0
        for index in range(_LONGEST_VARINT):
            if position + index >= self.end:
                raise self._error(position, "a number is cut off")
            byte = self.data[position + index]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & (2**64 - 1), position + index + 1
        raise self._error(position, f"a number longer than {_LONGEST_VARINT} bytes")

    def varints(self) -> Iterator[int]:
        """The whole message as packed numbers. Raises `ProgramError`."""
        position = self.start
        while position < self.end:
            value, position = self.varint(position)
            yield value

    def _error(self, offset: int, what: str) -> ProgramError:
        return ProgramError(
            f"{self.file}: no protobuf message at byte {offset}: {what}; the file is damaged, cut "
            "off, or of another format"
        )


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        number: as in the schema.
        wire: how it is written.
        body: its bytes; empty for a varint.
        value: of a varint.
    """

    number: int
    wire: Wire
    body: Message
    value: int = 0
