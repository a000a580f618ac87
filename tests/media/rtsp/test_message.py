"""What comes over the control connection, in pieces of any size."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SourceError
from pipeline.media.rtsp.message import Answer, Interleaved, Splitter, request

DESCRIBED = (
    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nWWW-Authenticate: Digest a\r\nwww-authenticate: Basic b\r\n"
    b"Content-Length: 5\r\n\r\nv=0\r\n"
)
PACKET = b"$\x00\x00\x03abc"
ASKED = b"ANNOUNCE rtsp://cam/1 RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 2\r\n\r\nhm"
STREAM = PACKET + DESCRIBED + b"\r\n" + ASKED + b"$\x01\x00\x00" + PACKET


def split(*parts: bytes) -> list[Answer | Interleaved]:
    splitter = Splitter()
    return [each for part in parts for each in splitter.feed(part)]


def test_answers_and_packets() -> None:
    first, answer, empty, last = split(STREAM)
    assert first == last == Interleaved(0, b"abc")
    assert empty == Interleaved(1, b"")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"v=0\r\n")
    assert answer.header("cseq") == "2"
    assert answer.header("none") == ""
    assert answer.headers["www-authenticate"] == ("Digest a", "Basic b")


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_where_it_is_cut_makes_no_difference(cuts: list[int]) -> None:
    ends = [0, *cuts, len(STREAM)]
    assert split(*(STREAM[a:b] for a, b in pairwise(ends))) == split(STREAM)


@pytest.mark.parametrize(
    "noise",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"A" * (1 << 17),
    ],
    ids=["HTTP", "TLS", "endless body", "negative body", "endless line"],
)
def test_what_is_not_rtsp(noise: bytes) -> None:
    with pytest.raises(SourceError, match="not RTSP"):
        split(noise)


@given(st.binary(max_size=300))
def test_noise_is_understood_or_refused(noise: bytes) -> None:
    with suppress(SourceError):
        split(noise)


def test_a_request() -> None:
    assert request("PLAY", "rtsp://cam/1", {"CSeq": "4"}) == (
        b"PLAY rtsp://cam/1 RTSP/1.0\r\nCSeq: 4\r\n\r\n"
    )
