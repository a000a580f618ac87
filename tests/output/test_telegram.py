"""The telegram against its recordings, against itself, and against everything that is not one."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analytics.event import Analysis, Event
from pipeline.errors import MessageError
from pipeline.output import telegram, telegram_events
from pipeline.output.events import KINDS
from pipeline.output.message import UTC_SOURCES, Message
from pipeline.packet import Status
from pipeline.tracking.track import Tracks, TrackState
from tests.output.record import CASES, analysis, message_of
from tests.output.test_jsonmessage import analyses

RECORDINGS = Path(__file__).parent / "recordings"
NAMES = sorted(path.stem for path in RECORDINGS.glob("*.bin"))
ANALYSED = sorted(f"analysed/{path.stem}" for path in RECORDINGS.glob("analysed/*.bin"))
DOCUMENT = Path(__file__).parents[2] / "docs" / "telegram.md"


def recording(name: str) -> tuple[bytes, dict[str, Any]]:
    expected = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    return (RECORDINGS / f"{name}.bin").read_bytes(), expected


def number(value: float) -> float | None:
    """As JSON has it."""
    return None if np.isnan(value) else float(value)


def events_told(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [asdict(e) | {"at": list(e.at), "value": number(e.value)} for e in events]


def as_told(message: Message) -> dict[str, Any]:
    """A message in the words of the recordings."""
    told, analysis = header_told(message), message.analysis
    if analysis is not None and analysis.events:
        del told["tracks"]
        return told | {"events": events_told(analysis.events)}
    if analysis is not None:
        for track, speed in zip(told["tracks"], analysis.speeds_kmh.tolist(), strict=True):
            track["speed_kmh"] = number(speed)
    return told


def header_told(message: Message) -> dict[str, Any]:
    tracks = message.tracks
    return {
        **{key: getattr(message, key) for key in ("camera", "session", "sequence", "epoch")},
        **{key: getattr(message, key) for key in ("frame", "pts_ns", "utc_ns", "engine", "reason")},
        **{key: getattr(message, key) for key in ("width", "height", "fragment", "fragments")},
        "status": message.status.name.lower(),
        "tracks": [
            {
                "id": int(tracks.ids[i]),
                "label": int(tracks.labels[i]),
                "state": TrackState(tracks.states[i]).name.lower(),
                "predicted": bool(np.isnan(tracks.unseen_s[i])),
                "score": float(tracks.scores[i]),
                "box": tracks.boxes_xyxy[i].tolist(),
                "velocity": tracks.velocities[i].tolist(),
            }
            for i in range(len(tracks))
        ],
    }


def documented(function: str) -> Any:
    """A function of the document's decoder."""
    parts = DOCUMENT.read_text("utf-8").split("```python\n")[1:]
    names: dict[str, Any] = {"__name__": "decoder"}
    exec(compile("".join(part.split("```")[0] for part in parts), str(DOCUMENT), "exec"), names)
    return names[function]


def test_there_are_recordings() -> None:
    assert NAMES == ["blind", "empty_scene", "three_tracks"]
    assert ANALYSED == ["analysed/events", "analysed/tracks"]


@pytest.mark.parametrize("name", [*NAMES, *ANALYSED])
def test_a_recording_is_read(name: str) -> None:
    datagram, expected = recording(name)
    assert as_told(telegram.decode(datagram)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_read_recording_is_written_again_byte_for_byte(name: str) -> None:
    datagram, _ = recording(name)
    assert telegram.Encoder().encode(telegram.decode(datagram)) == [datagram]


def test_a_message_with_an_analysis_is_written_byte_for_byte() -> None:
    message = replace(message_of(CASES["three_tracks"]), analysis=analysis())
    expected = [recording(f"analysed/{name}")[0] for name in ("tracks", "events")]
    assert telegram.Encoder().encode(message) == expected


def without_nan(told: Any) -> Any:
    return json.loads(re.sub(r"\bNaN\b", "null", json.dumps(told)))


@pytest.mark.parametrize("name", [*NAMES, *ANALYSED])
def test_the_documents_decoder_reads_a_recording(name: str) -> None:
    datagram, expected = recording(name)
    assert without_nan(documented("decode")(datagram)) == expected


def test_the_documents_layout_is_ours() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert f"### Header: {telegram.HEADER.size} bytes" in text
    record = telegram.SPEED_RECORD
    sizes = f"### Record: {telegram.RECORD.itemsize} bytes, or {record.itemsize}"
    assert sizes in text
    for name in record.names or ():
        offset = record.fields[name][1]  # type: ignore[index]
        assert f"| {offset} |" in text.split("### Record")[1]
    kinds = ", ".join(f"{number} {kind}" for number, kind in enumerate(KINDS))
    assert f"| {kinds};" in text.split("### Events")[1]
    assert f"Of events {telegram_events.RECORD.size}," in text


def test_fifty_objects_fit_one_packet_of_1500_bytes(make_message: Any) -> None:
    message = make_message(50, camera="c" * 19, engine="e" * 19)
    (datagram,) = telegram.Encoder().encode(message)
    assert len(datagram) <= 1500 - 48


def with_checksum(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def changed(at: int, value: bytes, name: str = "three_tracks") -> bytes:
    """A recording with other bytes at `at`, and the checksum that fits them."""
    body = bytearray(recording(name)[0][:-4])
    body[at : at + len(value)] = value
    return with_checksum(bytes(body))


TEXTS, FIRST_RECORD = 60, 68
EVENTS = "analysed/events"
LAST_EVENT = FIRST_RECORD + (29 + 9 + 8) + (29 + 4)
MALFORMED = {
    "nothing": (b"", "short"),
    "one byte less than header and checksum": (changed(0, b"")[:63], "short"),
    "another protocol": (changed(0, b"SLTX"), "bad_magic"),
    "a later version": (changed(4, b"\2"), "unknown_version"),
    "an encrypted one": (changed(6, b"\2"), "unknown_flags"),
    "a flag of later": (changed(6, b"\x08"), "unknown_flags"),
    "a bit flipped": (changed(0, b"")[:-1] + b"\0", "bad_checksum"),
    "cut off": (changed(0, b"")[:-10], "bad_checksum"),
    "a byte too many": (with_checksum(changed(0, b"")[:-4] + b"\0"), "bad_length"),
    "more records than bytes": (changed(58, b"\4\0"), "bad_length"),
    "fewer records than bytes": (changed(58, b"\2\0"), "bad_length"),
    "a header smaller than ours": (changed(5, bytes([59])), "bad_length"),
    "records smaller than ours": (changed(7, bytes([26])), "bad_length"),
    "a camera longer than the datagram": (changed(52, b"\xff"), "bad_length"),
    "an unknown status": (changed(48, b"\5"), "bad_value"),
    "an unknown UTC source": (changed(49, b"\3"), "bad_value"),
    "part 1 of 1": (changed(56, b"\1"), "bad_value"),
    "part 0 of 0": (changed(57, b"\0"), "bad_value"),
    "a camera that is not UTF-8": (changed(TEXTS, b"\xff"), "bad_text"),
    "a box that is not a number": (
        changed(FIRST_RECORD + 7, struct.pack("<f", float("nan"))),
        "bad_value",
    ),
    "an infinite velocity": (changed(FIRST_RECORD + 23, b"\x80\x7f"), "bad_value"),
    "an infinite speed": (
        changed(FIRST_RECORD + 27, b"\x80\x7f", "analysed/tracks"),
        "bad_value",
    ),
    "events smaller than ours": (changed(7, bytes([28]), EVENTS), "bad_length"),
    "more events than bytes": (changed(58, b"\4\0", EVENTS), "bad_length"),
    "fewer events than bytes": (changed(58, b"\2\0", EVENTS), "bad_length"),
    "a rule longer than the datagram": (changed(LAST_EVENT + 15, b"\xff", EVENTS), "bad_length"),
    "a rule that is not UTF-8": (changed(FIRST_RECORD + 29, b"\xff", EVENTS), "bad_text"),
    "an event that is nowhere": (
        changed(FIRST_RECORD + 17, struct.pack("<f", float("nan")), EVENTS),
        "bad_value",
    ),
    "an event without end": (
        changed(FIRST_RECORD + 25, struct.pack("<f", float("inf")), EVENTS),
        "bad_value",
    ),
}


@pytest.mark.parametrize(("datagram", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused_by_name(datagram: bytes, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        telegram.decode(datagram)
    assert caught.value.reason == reason


def test_an_unknown_flag_that_may_be_ignored_is() -> None:
    assert as_told(telegram.decode(changed(55, b"\xfe"))) == recording("three_tracks")[1]


def test_an_event_of_a_kind_of_later_is_left_out() -> None:
    came = as_told(telegram.decode(changed(FIRST_RECORD + 14, b"\xff", EVENTS)))
    assert came["events"] == recording(EVENTS)[1]["events"][1:]


def test_a_longer_header_and_longer_records_of_later_are_read() -> None:
    datagram, expected = recording("analysed/tracks")
    size = telegram.SPEED_RECORD.itemsize
    records = datagram[FIRST_RECORD:-4]
    longer = [records[i : i + size] + b"new" for i in range(0, len(records), size)]
    header = bytearray(datagram[:TEXTS])
    header[5], header[7] = TEXTS + 2, size + 3
    texts = datagram[TEXTS:FIRST_RECORD]
    later = with_checksum(bytes(header) + b"++" + texts + b"".join(longer))
    assert as_told(telegram.decode(later)) == expected


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(datagram: bytes) -> None:
    with pytest.raises(MessageError):
        telegram.decode(datagram)


@given(st.binary(max_size=200), st.integers(0, 3), st.sampled_from([b"\0\x1b", b"\0\x1d"]))
def test_random_bytes_with_a_good_envelope_give_a_message_or_a_message_error(
    rest: bytes, records: int, kind: bytes
) -> None:
    header = b"SLTG\1\x3c" + kind + rest[:50].ljust(50, b"\0") + struct.pack("<H", records)
    try:
        message = telegram.decode(with_checksum(header + rest[50:]))
    except MessageError:
        return
    assert len(message.tracks) == records


@given(st.sampled_from([*NAMES, *ANALYSED]), st.integers(0, 300), st.integers(0, 7))
def test_every_flipped_bit_is_noticed(name: str, at: int, bit: int) -> None:
    datagram = bytearray(recording(name)[0])
    datagram[at % len(datagram)] ^= 1 << bit
    with pytest.raises(MessageError):
        telegram.decode(bytes(datagram))


spreads = st.floats(1e-3, 1e6)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    ids = sorted(draw(st.sets(st.integers(0, 2**32 - 1), max_size=150)))
    n = len(ids)
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    tracks = Tracks(
        ids=np.array(ids, np.int64),
        boxes_xyxy=(rng.normal(0, 1, (n, 4)) * draw(spreads)).astype(np.float32),
        scores=rng.choice([0, 1, *rng.uniform(0, 1, 3)], n).astype(np.float32),
        labels=rng.integers(0, 8192, n).astype(np.int32),
        states=rng.integers(0, 4, n).astype(np.uint8),
        velocities=(rng.normal(0, 1, (n, 2)) * draw(spreads)).astype(np.float32),
        ages_s=rng.uniform(0, 9, n).astype(np.float32),
        unseen_s=rng.choice([0, 0.04], n).astype(np.float32),
    )
    utc_ns = draw(st.none() | st.integers(0, 2**62))
    return Message(
        camera=draw(st.text(min_size=1, max_size=20)),
        epoch=draw(st.integers(0, 2**32 - 1)),
        frame=draw(st.integers(0, 2**32 - 1)),
        pts_ns=draw(st.integers(-(2**63), 2**63 - 1)),
        width=draw(st.integers(0, 65535)),
        height=draw(st.integers(0, 65535)),
        status=draw(st.sampled_from(Status)),
        reason=draw(st.text(max_size=15)),
        engine=draw(st.text(max_size=15)),
        tracks=tracks,
        utc_ns=utc_ns,
        utc_source="none" if utc_ns is None else draw(st.sampled_from(UTC_SOURCES[1:])),
        session=draw(st.integers(0, 2**64 - 1)),
        sequence=draw(st.integers(0, 2**32 - 1)),
        age_ms=draw(st.none() | st.integers(0, 65534).map(float)),
        last=draw(st.booleans()),
    )


@given(messages(), st.integers(528, 1452))
def test_what_is_encoded_is_decoded(message: Message, payload: int) -> None:
    datagrams = telegram.Encoder(payload).encode(message)
    parts = [telegram.decode(datagram) for datagram in datagrams]
    assert max(map(len, datagrams)) <= payload
    assert [part.fragment for part in parts] == list(range(len(parts)))
    assert {part.fragments for part in parts} == {len(parts)}
    for part in parts:
        for key in set(Message.__dataclass_fields__) - {"tracks", "fragment", "fragments"}:
            assert getattr(part, key) == getattr(message, key), key
    sent = message.tracks

    def came(name: str) -> Any:
        return np.concatenate([getattr(part.tracks, name) for part in parts])

    for name in ("ids", "boxes_xyxy", "labels", "states"):
        np.testing.assert_array_equal(came(name), getattr(sent, name))
        assert came(name).dtype == getattr(sent, name).dtype
    assert np.all(np.abs(came("scores") - sent.scores) <= 1 / 512 + 1e-6)
    assert np.all(np.abs(came("velocities") - sent.velocities) <= np.abs(sent.velocities) / 100)
    np.testing.assert_array_equal(np.isnan(came("unseen_s")), sent.unseen_s > 0)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_random_events_give_a_message_or_a_message_error(rest: bytes, records: int) -> None:
    header = recording(EVENTS)[0][:58] + struct.pack("<H", records)
    try:
        message = telegram.decode(with_checksum(header + b"gatenpu0" + rest))
    except MessageError:
        return
    assert message.analysis is not None
    assert len(message.analysis.events) <= records


@given(messages(), analyses(), st.integers(528, 1452))
def test_what_happened_is_told_behind_the_tracks(
    message: Message, analysis: Analysis, payload: int
) -> None:
    speeds = np.resize(np.array([60, np.nan, 0], np.float32), len(message.tracks))
    analysed = replace(message, analysis=replace(analysis, speeds_kmh=speeds))
    datagrams = telegram.Encoder(payload).encode(analysed)
    assert max(map(len, datagrams)) <= payload
    flags = [datagram[6] for datagram in datagrams]
    assert flags == sorted(flags)
    assert set(flags) <= {0, telegram.EVENTS}
    assert 0 in flags
    parts = [telegram.decode(datagram) for datagram in datagrams]
    assert {part.fragments for part in parts} == {len(parts)}
    assert sum(len(part.tracks) for part in parts) == len(message.tracks)
    found = [part.analysis for part in parts if part.analysis is not None]
    told = np.concatenate([np.empty(0), *(one.speeds_kmh for one in found)])
    np.testing.assert_array_equal(told, speeds)
    single = [
        replace(
            event, at=tuple(np.float32(event.at).tolist()), value=float(np.float32(event.value))
        )
        for event in analysis.events
    ]
    assert events_told([e for one in found for e in one.events]) == events_told(single)


def test_without_an_analysis_a_telegram_is_what_it_was(make_message: Any) -> None:
    plain = make_message(50)
    nothing = replace(plain, analysis=Analysis(tallies={"gate": {"in": 1}}))
    assert telegram.Encoder().encode(nothing) == telegram.Encoder().encode(plain)


def test_an_encoder_does_not_remember_the_last_message(make_message: Any) -> None:
    encoder = telegram.Encoder()
    many, few = make_message(200), make_message(2)
    first = encoder.encode(few)
    assert len(encoder.encode(many)) > 1
    assert encoder.encode(few) == first


@pytest.mark.parametrize(
    ("field", "value", "told"), [("engine", "ü" * 100, "ü" * 64), ("reason", "x" * 99, "x" * 64)]
)
def test_a_long_text_is_cut_between_characters(
    make_message: Any, field: str, value: str, told: str
) -> None:
    (datagram,) = telegram.Encoder().encode(make_message(0, **{field: value}))
    assert getattr(telegram.decode(datagram), field) == told


def test_what_does_not_fit_the_format_is_a_value_error(
    make_message: Any, make_analysis: Any
) -> None:
    long = Analysis((Event("r" * 64, "cross", 0, 1, 0, (0, 0), "d" * 64),))
    encoder = telegram.Encoder(500)
    too_large = replace(make_message(1).tracks, ids=np.array([2**32], np.int64))
    for message in (
        make_message(1, tracks=too_large),
        make_message(0, camera="c" * 129),
        make_message(20_000),
        make_message(0, analysis=make_analysis(0, 4000)),
        make_message(0, analysis=Analysis((Event("gate", "stop", 0, 2**32, 0, (0, 0)),))),
        make_message(0, camera="c" * 128, engine="e" * 128, reason="r" * 64, analysis=long),
    ):
        with pytest.raises(ValueError, match=r"2\^32|longer than|fragments|does not fit"):
            encoder.encode(message)


@pytest.mark.parametrize(("age_ms", "told"), [(None, None), (-3.0, 0), (41.6, 42), (1e9, 65534)])
def test_an_age_is_told_in_milliseconds_and_saturates(
    make_message: Any, age_ms: float | None, told: float | None
) -> None:
    (datagram,) = telegram.Encoder().encode(make_message(0, age_ms=age_ms))
    assert telegram.decode(datagram).age_ms == told
