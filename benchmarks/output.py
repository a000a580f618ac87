"""Telling about 50 objects: processor time of encoding a message and sending it over UDP.

Beside the telegram: the plain way, `json.dumps` of a list of dictionaries; our own JSON message;
and handing a finished datagram to the network, which is the least that any way costs.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.harness import Goal, Options, Row, interleaved, per_call_us
from pipeline.output import jsonmessage
from pipeline.output.address import Address
from pipeline.output.message import Message
from pipeline.output.telegram import Encoder
from pipeline.output.udp import UdpSender
from pipeline.packet import Status
from pipeline.tracking.track import Tracks, TrackState

OBJECTS = 50
LABELS = ("person", "bicycle", "car")


def rows(options: Options) -> list[Row]:
    """Our telegram beside each other way."""
    message = _message(np.random.default_rng(1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        sender = UdpSender(Address(*receiver.getsockname()))
        calls = options.take(500, 1000)
        ready = Encoder().encode(message)[0]
        variants: dict[str, Callable[[Message, UdpSender], object]] = {
            "telegram": _telegrams(),
            "json": _json,
            "plain": _plain_json,
            "send": lambda _, sender: sender.send(ready),
        }
        numbers = interleaved(
            {
                name: per_call_us(partial(way, message, sender), calls)
                for name, way in variants.items()
            },
            options.take(5, 9),
        )
        sender.close()
    what = f"telegram of {OBJECTS} objects, encode and send"
    goal = Goal("value", "at most", 10)
    ours = numbers["telegram"]
    return [
        Row(what, "µs", ours, "`json.dumps` of dictionaries", numbers["plain"], goal),
        Row(what, "µs", ours, "our JSON message", numbers["json"]),
        Row(what, "µs", ours, "send alone", numbers["send"]),
    ]


def _telegrams() -> Callable[[Message, UdpSender], None]:
    encoder = Encoder()

    def send(message: Message, sender: UdpSender) -> None:
        for datagram in encoder.encode(message):
            sender.send(datagram)

    return send


def _json(message: Message, sender: UdpSender) -> None:
    for datagram in jsonmessage.encode(message, LABELS):
        sender.send(datagram)


def _plain_json(message: Message, sender: UdpSender) -> None:
    tracks = message.tracks
    columns = zip(tracks.ids, tracks.boxes_xyxy, tracks.scores, tracks.labels, strict=True)
    objects = [
        {
            "id": int(track),
            "box": [round(float(side), 2) for side in box],
            "score": round(float(score), 4),
            "class": LABELS[label],
        }
        for track, box, score, label in columns
    ]
    text = json.dumps(
        {"camera": message.camera, "frame": message.frame, "pts": message.pts_ns, "tracks": objects}
    )
    sender.send(text.encode())


def _message(rng: np.random.Generator) -> Message:
    corner = rng.uniform(0, 1800, (OBJECTS, 2))
    boxes = np.hstack([corner, corner + rng.uniform(20, 100, (OBJECTS, 2))])
    tracks = Tracks(
        np.arange(1, OBJECTS + 1),
        boxes.astype(np.float32),
        rng.uniform(0.3, 1, OBJECTS).astype(np.float32),
        rng.integers(0, len(LABELS), OBJECTS, np.int32),
        np.full(OBJECTS, TrackState.CONFIRMED, np.uint8),
        rng.normal(0, 20, (OBJECTS, 2)).astype(np.float32),
        np.ones(OBJECTS, np.float32),
        np.zeros(OBJECTS, np.float32),
    )
    return Message("gate", 0, 1234, 49_360_000_000, 1920, 1080, Status.OK, "", "cpu0", tracks)
