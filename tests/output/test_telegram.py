"""The telegram against its recordings, against itself, and against everything that is not one."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MessageError
from pipeline.output import telegram
from pipeline.output.message import UTC_SOURCES, Message
from pipeline.packet import Status
from pipeline.tracking.track import Tracks, TrackState

RECORDINGS = Path(__file__).parent / "recordings"
NAMES = sorted(path.stem for path in RECORDINGS.glob("*.bin"))
DOCUMENT = Path(__file__).parents[2] / "docs" / "telegram.md"


def recording(name: str) -> tuple[bytes, dict[str, Any]]:
    expected = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    return (RECORDINGS / f"{name}.bin").read_bytes(), expected


def as_told(message: Message) -> dict[str, Any]:
    """A message in the words of the recordings."""
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


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_read(name: str) -> None:
    datagram, expected = recording(name)
    assert as_told(telegram.decode(datagram)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_read_recording_is_written_again_byte_for_byte(name: str) -> None:
    datagram, _ = recording(name)
    assert telegram.Encoder().encode(telegram.decode(datagram)) == [datagram]


@pytest.mark.parametrize("name", NAMES)
def test_the_documents_decoder_reads_a_recording(name: str) -> None:
    datagram, expected = recording(name)
    assert documented("decode")(datagram) == expected


def test_the_documents_layout_is_ours() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert f"### Header: {telegram.HEADER.size} bytes" in text
    assert f"### Record: {telegram.RECORD.itemsize} bytes" in text
    for name in telegram.RECORD.names or ():
        offset = telegram.RECORD.fields[name][1]  # type: ignore[index]
        assert f"| {offset} |" in text.split("### Record")[1]


def test_fifty_objects_fit_one_packet_of_1500_bytes(make_message: Any) -> None:
    message = make_message(50, camera="c" * 19, engine="e" * 19)
    (datagram,) = telegram.Encoder().encode(message)
    assert len(datagram) <= 1500 - 48


def with_checksum(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def changed(at: int, value: bytes) -> bytes:
    """A recording with other bytes at `at`, and the checksum that fits them."""
    body = bytearray(recording("three_tracks")[0][:-4])
    body[at : at + len(value)] = value
    return with_checksum(bytes(body))


TEXTS, FIRST_RECORD = 60, 68
MALFORMED = {
    "nothing": (b"", "short"),
    "one byte less than header and checksum": (changed(0, b"")[:63], "short"),
    "another protocol": (changed(0, b"SLTX"), "bad_magic"),
    "a later version": (changed(4, b"\2"), "unknown_version"),
    "an encrypted one": (changed(6, b"\2"), "unknown_flags"),
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
}


@pytest.mark.parametrize(("datagram", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused_by_name(datagram: bytes, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        telegram.decode(datagram)
    assert caught.value.reason == reason


def test_an_unknown_flag_that_may_be_ignored_is() -> None:
    assert as_told(telegram.decode(changed(55, b"\xfe"))) == recording("three_tracks")[1]


def test_a_longer_header_and_longer_records_of_later_are_read() -> None:
    datagram, expected = recording("three_tracks")
    size = telegram.RECORD.itemsize
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


@given(st.binary(max_size=200), st.integers(0, 3))
def test_random_bytes_with_a_good_envelope_give_a_message_or_a_message_error(
    rest: bytes, records: int
) -> None:
    header = b"SLTG\1\x3c\0\x1b" + rest[:50].ljust(50, b"\0") + struct.pack("<H", records)
    try:
        message = telegram.decode(with_checksum(header + rest[50:]))
    except MessageError:
        return
    assert len(message.tracks) == records


@given(st.sampled_from(NAMES), st.integers(0, 200), st.integers(0, 7))
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


def test_what_does_not_fit_the_format_is_a_value_error(make_message: Any) -> None:
    encoder = telegram.Encoder(500)
    too_large = replace(make_message(1).tracks, ids=np.array([2**32], np.int64))
    for message in (
        make_message(1, tracks=too_large),
        make_message(0, camera="c" * 129),
        make_message(20_000),
    ):
        with pytest.raises(ValueError, match=r"2\^32|longer than|fragments"):
            encoder.encode(message)


@pytest.mark.parametrize(("age_ms", "told"), [(None, None), (-3.0, 0), (41.6, 42), (1e9, 65534)])
def test_an_age_is_told_in_milliseconds_and_saturates(
    make_message: Any, age_ms: float | None, told: float | None
) -> None:
    (datagram,) = telegram.Encoder().encode(make_message(0, age_ms=age_ms))
    assert telegram.decode(datagram).age_ms == told
