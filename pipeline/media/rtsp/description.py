"""What a camera offers: SDP (RFC 4566) as far as RTSP uses it (RFC 2326, appendix C)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

#: Payload types that need no ``rtpmap`` (RFC 3551, table 5): name and clock.
_STATIC = {26: ("JPEG", 90_000)}


@dataclass(slots=True)
class Offer:
    """One stream of a camera.

    Attributes:
        kind: ``"video"``, ``"audio"``, ``"application"``.
        payload_type: of its RTP packets.
        encoding: in capitals, such as ``"H264"``; empty where unknown.
        clock_hz: of its timestamps.
        parameters: of its format (``fmtp``); names in lower case.
        control: its address, whole or relative to that of the description.
        fps: nominal; None where unknown.
    """

    kind: str
    payload_type: int
    encoding: str = ""
    clock_hz: int = 90_000
    parameters: Mapping[str, str] = field(default_factory=dict)
    control: str = ""
    fps: float | None = None


def offers(text: str) -> Iterator[Offer]:
    """The streams of a description; lines that are not understood are passed over."""
    offer: Offer | None = None
    for line in [*text.splitlines(), "m="]:
        key, _, value = line.strip().partition("=")
        if key == "m":
            if offer is not None:
                yield offer
            offer = _media(value)
        elif key == "a" and offer is not None:
            _attribute(offer, *value.split(":", 1))


def control_of_all(text: str) -> str:
    """The address of all streams together, from before the first of them; empty: none is given."""
    for line in text.splitlines():
        if line.startswith("m="):
            break
        if line.startswith("a=control:"):
            return line.removeprefix("a=control:").strip()
    return ""


def _media(value: str) -> Offer | None:
    parts = value.split()
    if len(parts) < 4 or not re.fullmatch(r"[0-9]{1,3}", parts[3]):
        return None
    number = int(parts[3])
    encoding, clock_hz = _STATIC.get(number, ("", 90_000))
    return Offer(parts[0], number, encoding, clock_hz)


def _attribute(offer: Offer, name: str, value: str = "") -> None:
    number, _, rest = value.partition(" ")
    of_this = number == str(offer.payload_type)
    if name == "control":
        offer.control = value.strip()
    elif name == "framerate":
        offer.fps = _positive(value)
    elif name == "rtpmap" and of_this:
        encoding, _, clock = rest.partition("/")
        offer.encoding = encoding.strip().upper()
        offer.clock_hz = round(_positive(clock.partition("/")[0]) or 0) or offer.clock_hz
    elif name == "fmtp" and of_this:
        pairs = (part.partition("=") for part in rest.split(";"))
        offer.parameters = {key.strip().lower(): value.strip() for key, _, value in pairs}


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e9 else None


def control_url(base: str, control: str) -> str:
    """The address of a stream or of all (RFC 2326, C.1.1)."""
    if control in ("", "*"):
        return base
    if "://" in control:
        return control
    if control.startswith("/"):
        return "/".join(base.split("/")[:3]) + control
    # Cameras mean a folder also where they leave the slash away.
    return f"{base.removesuffix('/')}/{control}"


def parameter_sets(offer: Offer) -> list[bytes]:
    """The NAL units that a decoder needs first, as far as the description has them."""
    names = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")
    texts = [text for name in names for text in offer.parameters.get(name, "").split(",") if text]
    units = []
    for text in texts:
        try:
            units.append(base64.b64decode(text + "=" * (-len(text) % 4)))
        except ValueError:
            continue
    return units
