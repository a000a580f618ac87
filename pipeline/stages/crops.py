"""What stages share whose networks look at single objects: crops of several packets together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from pipeline.media.picture import Picture
from pipeline.media.preprocess import Preprocessor
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected, Tracked
from pipeline.tracking.cost import Indices
from pipeline.tracking.freshness import Freshness

Seen = TypeVar("Seen", Detected, Tracked)
Outputs = Mapping[str, NDArray[Any]]

#: Crops that are made and run at a time: 12 MB of 256x128 in float32.
CROPS = 32

#: Nothing is known of the objects in such a frame.
NOTHING = np.empty(0, np.intp)


class CropStage(BoundStage[Seen, Seen]):
    """Runs a network on crops from the full-resolution picture, of all packets together.

    Where its engine fails, the frame goes on without what the network would have told, and is
    damaged.

    Args:
        network: owned by this copy.
        preprocessor: stateless; may be shared between copies.
        axis: of the network's outputs, on which the crops lie.
    """

    looks = True

    #: What a frame lacks where the engine failed.
    tells: str

    def __init__(self, network: BoundNetwork, preprocessor: Preprocessor, axis: int = 0) -> None:
        super().__init__(network)
        self._network = network
        self._preprocessor = preprocessor
        self._axis = axis

    @abstractmethod
    def _boxes(self, payload: Seen) -> NDArray[np.float32]:
        """The objects' boxes (N, 4)."""

    @abstractmethod
    def _wanted(self, packet: Packet[Seen]) -> Indices | None:
        """Rows (K,) of the objects to look at; None where nobody is to look at this frame."""

    @abstractmethod
    def _told(self, packet: Packet[Seen], rows: Indices, outputs: Outputs) -> Packet[Seen]:
        """The packet with what the network gave for these rows (K,) of its objects."""

    def _untold(self, packet: Packet[Seen]) -> Packet[Seen]:
        """The packet where nothing could be looked at."""
        return packet

    def process(self, packet: Packet[Seen]) -> Iterable[Packet[Seen]]:
        return self.process_batch([packet])[0]

    def process_batch(self, packets: Sequence[Packet[Seen]]) -> list[list[Packet[Seen]]]:
        rows = [self._wanted(packet) if packet.seen else None for packet in packets]
        return [[packet] for packet in self._looked_at(packets, rows)]

    def _looked_at(
        self, packets: Sequence[Packet[Seen]], rows: Sequence[Indices | None]
    ) -> list[Packet[Seen]]:
        """The packets with what the network tells of these rows of their objects."""
        try:
            due = [NOTHING if own is None else own for own in rows]
            outputs = self._outputs([packet.payload for packet in packets], due)
        except EngineError as error:
            if len(packets) == 1:
                reason = f"no {self.tells}: {error}"
                return [self._untold(packets[0]).marked(Status.DAMAGED, reason)]
            alone = (self._looked_at([p], [own]) for p, own in zip(packets, rows, strict=True))
            return [packet for packets in alone for packet in packets]
        return [
            self._untold(packet) if own is None else self._told(packet, own, found)
            for packet, own, found in zip(packets, rows, outputs, strict=True)
        ]

    def _outputs(self, payloads: Sequence[Seen], rows: Sequence[Indices]) -> list[Outputs]:
        """The network's outputs for `rows` of each payload's objects."""
        owner = np.arange(len(payloads)).repeat([len(own) for own in rows])
        boxes = [self._boxes(payload)[own] for payload, own in zip(payloads, rows, strict=True)]
        outputs = self._run([p.picture for p in payloads], owner, np.concatenate(boxes))
        ends = np.cumsum([len(own) for own in rows])[:-1]
        parts = {name: np.split(output, ends, self._axis) for name, output in outputs.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(len(payloads))]

    def _run(
        self, pictures: Sequence[Picture], owner: Indices, boxes_xyxy: NDArray[np.float32]
    ) -> Outputs:
        """The outputs for K boxes (K, 4), each in the picture of its `owner` (K,), which rises."""
        parts = []
        for start in range(0, len(owner) or 1, CROPS):
            part = slice(start, start + CROPS)
            crops = [
                self._preprocessor.crops(picture, boxes_xyxy[part][owner[part] == index])
                for index, picture in enumerate(pictures)
            ]
            parts.append(self._network.run_rows(np.concatenate(crops), self._axis))
        return {name: np.concatenate([p[name] for p in parts], self._axis) for name in parts[0]}


def large_enough(
    boxes_xyxy: NDArray[np.float32], picture: Picture, least: float = 1
) -> NDArray[np.bool_]:
    """Which boxes are at least so wide and high inside the picture, pixels: mask (N,)."""
    low = np.maximum(boxes_xyxy[:, :2], 0)
    high = np.minimum(boxes_xyxy[:, 2:], (picture.width, picture.height))
    # Of a box that is not a number, no comparison holds.
    inside: NDArray[np.bool_] = np.all(high - low >= least, axis=1)
    return inside


class DueDetections:
    """Which detections of each camera are worth a look; see `pipeline.tracking.freshness`.

    Args:
        refresh_s: a detection is stale after so long without a look, seconds.
    """

    def __init__(self, refresh_s: float) -> None:
        self._refresh_s = refresh_s
        self._freshness: dict[str, Freshness] = {}
        self._counts = {"detections": 0, "looked at": 0}

    def of(self, packet: Packet[Detected], rows: Indices) -> Indices:
        """Those of the detections `rows` (K,) that are due; they count as looked at."""
        camera = packet.frame.camera
        if camera not in self._freshness:
            self._freshness[camera] = Freshness(self._refresh_s)
        boxes_xyxy = packet.payload.detections.boxes_xyxy[rows]
        due = self._freshness[camera].due(boxes_xyxy, packet.frame.pts_ns)
        self._counts["detections"] += len(due)
        self._counts["looked at"] += int(np.count_nonzero(due))
        return rows[due]

    def forget(self, camera: str) -> None:
        """The camera is gone."""
        self._freshness.pop(camera, None)

    def counts(self) -> Mapping[str, int]:
        """How many detections there were, and how many of them were due."""
        return dict(self._counts)
