"""What cameras say of themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.rtsp.description import control_of_all, control_url, offers, parameter_sets

SDP = """v=0
o=- 1 1 IN IP4 10.0.0.5
m=audio 0 RTP/AVP 0
a=control:trackID=2
m=video 0 RTP/AVP 96
b=AS:4000
a=framerate:12.5
a=control:trackID=1
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=4D4029; sprop-parameter-sets=Z00AKQ==,aO48gA==
m=video 0 RTP/AVP 26
m=application 0 RTP/AVP 107
a=rtpmap:107 vnd.onvif.metadata/90000
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_streams(end: str) -> None:
    audio, video, jpeg, data = offers(SDP.replace("\n", end))
    assert (audio.kind, video.kind, jpeg.kind, data.kind) == (
        *("audio", "video", "video", "application"),
    )
    assert (video.payload_type, video.encoding, video.clock_hz, video.fps) == (
        *(96, "H264", 90_000, 12.5),
    )
    assert video.control == "trackID=1"
    assert parameter_sets(video) == [b"\x67\x4d\x00\x29", b"\x68\xee\x3c\x80"]
    assert (jpeg.encoding, jpeg.clock_hz) == ("JPEG", 90_000)


@pytest.mark.parametrize(
    ("control", "url"),
    [
        ("", "rtsp://cam:554/live"),
        ("*", "rtsp://cam:554/live"),
        ("trackID=1", "rtsp://cam:554/live/trackID=1"),
        ("rtsp://cam/other/1", "rtsp://cam/other/1"),
        ("/abs/1", "rtsp://cam:554/abs/1"),
    ],
)
@pytest.mark.parametrize("base", ["rtsp://cam:554/live", "rtsp://cam:554/live/"])
def test_addresses_of_streams(base: str, control: str, url: str) -> None:
    assert control_url(base, control).removesuffix("/") == url


def test_the_address_of_all_streams_is_named_before_them() -> None:
    assert control_of_all(SDP) == ""
    assert control_of_all("v=0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n") == "*"


def test_parameter_sets_that_are_broken_are_left_out() -> None:
    text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets=Z,aO48gA"
    (offer,) = offers(text)
    assert parameter_sets(offer) == [b"\x68\xee\x3c\x80"]


@given(st.text(max_size=200))
def test_any_text_is_a_description(text: str) -> None:
    lines = [
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/",
        "a=control:",
        "a=framerate:",
        "m=video 1 ",
    ]
    lines += ["a=fmtp:96 sprop-parameter-sets="]
    for offer in offers("\n".join(line + text for line in lines)):
        parameter_sets(offer)
        control_url("rtsp://cam/1", offer.control)
        assert offer.clock_hz > 0
