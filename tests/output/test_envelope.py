"""Sealed telegrams: against their recordings, and against everybody without the key."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import MessageError, OutputError, RefusedError
from pipeline.output import telegram
from pipeline.output.envelope import Opener, Seal, parse_key
from pipeline.output.message import Message
from pipeline.output.spec import OutputSpec
from tests.output.record import ANALYSED, BEGAN_NS, CASES, KEY, analysis, message_of
from tests.output.test_telegram import RECORDINGS, as_told, documented, messages, without_nan

SEALED = {path.stem: path.read_bytes() for path in (RECORDINGS / "sealed").glob("*.bin")}


def sealed(message: Message, encrypt: bool = True, payload: int = 1452) -> list[bytes]:
    return telegram.Encoder(payload, Seal(KEY, encrypt)).encode(message)


def test_there_are_recordings() -> None:
    assert sorted(SEALED) == ["authenticated", "encrypted"]
    assert [SEALED[name][6] for name in ("authenticated", "encrypted")] == [1, 3]


@pytest.mark.parametrize("name", SEALED)
def test_a_recording_is_opened(name: str) -> None:
    message = telegram.decode(SEALED[name], Opener(KEY))
    assert as_told(message) == CASES["three_tracks"]
    assert message.began_ns == BEGAN_NS


@pytest.mark.parametrize("name", SEALED)
def test_a_recording_is_sealed_again_byte_for_byte(name: str) -> None:
    message = replace(message_of(CASES["three_tracks"]), began_ns=BEGAN_NS)
    assert sealed(message, encrypt=name == "encrypted") == [SEALED[name]]


@pytest.mark.parametrize("name", SEALED)
def test_the_document_opens_a_recording(name: str) -> None:
    plain = documented("unseal")(SEALED[name], KEY)
    assert documented("decode")(plain) == CASES["three_tracks"]


@given(messages(), st.booleans(), st.integers(548, 1452), st.integers(1, 2**62))
def test_what_is_sealed_is_opened_and_no_larger_than_allowed(
    message: Message, encrypt: bool, payload: int, began_ns: int
) -> None:
    message = replace(message, began_ns=began_ns)
    datagrams = sealed(message, encrypt, payload)
    parts = [telegram.decode(datagram, Opener(KEY)) for datagram in datagrams]
    assert max(map(len, datagrams)) <= payload
    for key in set(Message.__dataclass_fields__) - {"tracks", "fragment", "fragments"}:
        assert {getattr(part, key) for part in parts} == {getattr(message, key)}, key
    came = np.concatenate([part.tracks.boxes_xyxy for part in parts])
    np.testing.assert_array_equal(came, message.tracks.boxes_xyxy)


@pytest.mark.parametrize("encrypt", [False, True])
def test_what_happened_is_sealed_as_the_tracks_are(encrypt: bool) -> None:
    message = message_of(CASES["three_tracks"])
    datagrams = sealed(replace(message, began_ns=BEGAN_NS, analysis=analysis()), encrypt)
    assert [datagram[6] for datagram in datagrams] == [1 | 2 * encrypt, 5 | 2 * encrypt]
    assert (b"yard" in datagrams[1]) is not encrypt
    for (_, expected), datagram in zip(ANALYSED.items(), datagrams, strict=True):
        assert as_told(telegram.decode(datagram, Opener(KEY))) == expected
        assert without_nan(documented("decode")(documented("unseal")(datagram, KEY))) == expected


@given(st.sampled_from(sorted(SEALED)), st.integers(0, 400), st.integers(0, 7))
def test_every_flipped_bit_is_noticed(name: str, at: int, bit: int) -> None:
    datagram = bytearray(SEALED[name])
    datagram[at % len(datagram)] ^= 1 << bit
    with pytest.raises(MessageError):
        telegram.decode(bytes(datagram), Opener(KEY))


@given(st.sampled_from(sorted(SEALED)), st.integers(0, 200))
def test_what_was_cut_off_is_noticed(name: str, length: int) -> None:
    with pytest.raises(MessageError):
        telegram.decode(SEALED[name][: min(length, len(SEALED[name]) - 1)], Opener(KEY))


@pytest.mark.parametrize("name", SEALED)
def test_another_key_opens_nothing(name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        telegram.decode(SEALED[name], Opener(KEY[::-1]))
    assert caught.value.reason == "not_authentic"


def test_encrypted_texts_cannot_be_found() -> None:
    assert b"gate" in SEALED["authenticated"]
    assert b"gate" not in SEALED["encrypted"]


def test_without_a_key_nothing_sealed_is_read_and_with_one_nothing_else() -> None:
    (plain,) = telegram.Encoder().encode(message_of(CASES["blind"]))
    for datagram, opener, reason in (
        (SEALED["encrypted"], None, "no_key"),
        (plain, Opener(KEY), "unauthenticated"),
    ):
        with pytest.raises(RefusedError) as caught:
            telegram.decode(datagram, opener)
        assert caught.value.reason == reason


def test_no_number_is_sealed_twice(make_message: Any) -> None:
    encoder = telegram.Encoder(envelope=Seal(KEY, encrypt=True))
    encoder.encode(make_message(120, sequence=7))
    for sequence in (7, 6):
        with pytest.raises(ValueError, match="once each"):
            encoder.encode(make_message(1, sequence=sequence))
    encoder.encode(make_message(1, sequence=8))
    encoder.encode(make_message(1, sequence=0, session=1))


def test_no_two_sessions_have_one_key(make_message: Any) -> None:
    """Else what two senders encrypt with one nonce could be told apart from the other's."""
    texts = {
        datagram[telegram.HEADER.size + 8 :]
        for session, began_ns in ((1, 1), (1, 2), (2, 1))
        for datagram in sealed(make_message(0, session=session, began_ns=began_ns))
    }
    assert len(texts) == 3


@pytest.mark.parametrize(
    "text", ["00" * 32, " " + "aB" * 32 + "\n", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
)
def test_a_key_is_read(text: str) -> None:
    assert len(parse_key(text)) == 32


@pytest.mark.parametrize("text", ["", "00" * 31, "hunter2 hunter2", "zz" * 32, "AAAA", "ü" * 64])
def test_what_is_no_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="openssl rand") as caught:
        parse_key(text)
    assert not text or text not in str(caught.value)


def test_a_key_is_in_no_dump() -> None:
    said = {"udp": {"to": "127.0.0.1:9", "secure": {"key": "ab" * 32}}}
    spec = OutputSpec.model_validate(said)
    shown = repr(spec) + json.dumps(spec.model_dump(mode="json")) + str(spec)
    assert "abab" not in shown
    assert spec.udp is not None
    assert spec.udp.secure is not None
    assert spec.udp.secure.key_bytes == b"\xab" * 32


def test_json_cannot_be_sealed() -> None:
    said = {"to": "127.0.0.1:9", "format": "json", "secure": {"key": "ab" * 32}}
    with pytest.raises(ValidationError, match="use telegram"):
        OutputSpec.model_validate({"udp": said})


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(OutputError, match=r"pip install 'sightline\[sealed\]'"):
        Seal(KEY, encrypt=True)
