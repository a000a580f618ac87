"""Texts in a telegram: UTF-8, one right after the other, their lengths told elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import MessageError


def cut(text: str, limit: int) -> bytes:
    """UTF-8 of at most `limit` bytes, cut between characters."""
    return text.encode()[:limit].decode(errors="ignore").encode()


def read(content: bytes, at: int, lengths: Sequence[int]) -> list[str]:
    """The texts from `at` on.

    Raises:
        MessageError: ``bad_text``: one is not UTF-8.
    """
    texts = []
    for length in lengths:
        try:
            texts.append(content[at : at + length].decode())
        except UnicodeDecodeError as error:
            raise MessageError("bad_text", f"not UTF-8 at byte {at + error.start}") from None
        at += length
    return texts
