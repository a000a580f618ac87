"""Names that are readable, unique and fit for folders."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipeline.batch.naming import TAKEN, names
from pipeline.config.base import Name

EXAMPLES = {
    "the stem": (["a/gate.mp4", "a/yard.mkv"], ["gate", "yard"]),
    "a folder in front": (["a/gate.mp4", "b/gate.mp4"], ["a-gate", "b-gate"]),
    "the suffix behind": (["a/gate.mp4", "a/gate.avi"], ["gate.mp4", "gate.avi"]),
    "as many folders as needed": (
        ["1/a/gate.mp4", "2/a/gate.mp4", "2/b/gate.mp4"],
        ["1-a-gate", "2-a-gate", "b-gate"],
    ),
    "whatever the case": (["a/Gate.mp4", "b/gate.mp4"], ["a-Gate", "b-gate"]),
    "other letters": (["Über den Hof (2).mp4", "x/äöü.mp4"], ["Uber_den_Hof_2", "aou"]),
    "none that remain": (["監視.mp4"], ["clip"]),
    "the way up": (["../../etc/passwd.mp4", "...mp4"], ["passwd", "clip"]),
    "what the folder holds": (["x/report.html.mp4"], ["report.html.mp4"]),
    "servers": (
        ["https://h.example/a%20b/c.mp4?token=secret", "http://u:pw@h.example/c.mkv"],
        ["c.mp4", "c.mkv"],
    ),
    "worlds": (["rendered:day?seed=3&seconds=1.5"], ["rendered_day_seed_3_seconds_1.5"]),
    "images": (["dir:shots/one.v2", "file:a.mp4"], ["one.v2", "a"]),
}


@pytest.mark.parametrize("what", EXAMPLES)
def test_examples(what: str) -> None:
    uris, expected = EXAMPLES[what]
    assert names(uris) == expected


def test_long_names_keep_their_end() -> None:
    (name,) = names(["x" * 100 + "-2026-01-31.mp4"])
    assert len(name) == 64
    assert name.endswith("xx-2026-01-31")


paths = st.lists(
    st.lists(st.text("abA.-_é/%監 ", min_size=1, max_size=6), min_size=1, max_size=4)
    .map("/".join)
    .map(lambda path: path + ".mp4"),
    unique=True,
    max_size=12,
)


@given(paths, st.randoms())
def test_names_are_unique_valid_and_independent_of_the_order(uris: list[str], random) -> None:
    found = names(uris)
    assert len({name.casefold() for name in found}) == len(uris)
    for name in found:
        TypeAdapter(Name).validate_python(name)
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
        assert name.casefold() not in TAKEN
    shuffled = random.sample(uris, len(uris))
    assert dict(zip(shuffled, names(shuffled), strict=True)) == dict(zip(uris, found, strict=True))
