"""Tracks of moving cameras with and without the stage `camera_motion`, as Markdown.

`python -m benchmarks.camera_motion [--seconds S] [--presets NAME ...]`. A window moves over the
rendered street as a camera would that pans, is carried or zooms; where everybody is in it is known
exactly. The shipped detector looks at each picture, and each preset tracks the same detections once
with the motion that was estimated, once without.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

import pipeline
from pipeline.config import TrackConfig
from pipeline.evaluation.evaluate import Scores, combine, evaluate
from pipeline.evaluation.mot_files import MotTable, rows_of_frame, table_from_rows
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Decoded, Detected
from pipeline.stage import Run, drive
from pipeline.stages.camera_motion import CameraMotionStage
from pipeline.stages.track import TrackStage
from pipeline.world import SCENES, World

WIDTH, HEIGHT = 640, 360
#: Of the street that the window moves over.
STREET = 1280, 480
FPS = 25

Floats = NDArray[np.float64]
#: Seconds → the window's left, top and its zoom.
Path = Callable[[float], tuple[float, float, float]]


def _fixed(t_s: float) -> tuple[float, float, float]:
    return 320, 100, 1


def _pan(t_s: float) -> tuple[float, float, float]:
    """To and fro within 6 s, at most half a picture a second."""
    return 320 + 300 * np.sin(2 * np.pi * t_s / 6), 100, 1


def _carried(t_s: float) -> tuple[float, float, float]:
    """In a hand: up to 15 pixels aside and 10 up, at 1 to 5 Hz."""
    aside = 9 * np.sin(2 * np.pi * 1.1 * t_s) + 6 * np.sin(2 * np.pi * 4.3 * t_s + 1)
    up = 6 * np.sin(2 * np.pi * 1.9 * t_s + 2) + 4 * np.sin(2 * np.pi * 4.9 * t_s)
    return 320 + aside, 100 + up, 1


def _zoom(t_s: float) -> tuple[float, float, float]:
    """Into the middle by a half and out again within 5 s."""
    zoom = 1.25 - 0.25 * np.cos(2 * np.pi * t_s / 5)
    return 640 - WIDTH / 2 / zoom, 280 - HEIGHT / 2 / zoom, zoom


PATHS: Mapping[str, Path] = {
    "fixed": _fixed, "pan": _pan, "carried": _carried, "zoom": _zoom,
}  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.camera_motion", description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each clip (12)")
    parser.add_argument("--presets", nargs="+", default=["sightline", "botsort", "bytetrack"])
    arguments = parser.parse_args()
    print("| camera | every | preset | HOTA | IDF1 | IDSW | with: HOTA | IDF1 | IDSW | known |")
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, path in PATHS.items():
        clips = [_clip(scene, path, arguments.seconds) for scene in SCENES]
        for every in (1, 5):
            taken = [(packets[::every], truth) for packets, truth in clips]
            for preset in arguments.presets:
                print(_row(name, every, preset, taken), flush=True)


def _clip(scene: str, path: Path, seconds: float) -> tuple[list[Packet[Detected]], list[Floats]]:
    """What the detector finds in each frame, and the rows of the ground truth of each."""
    config = "{cameras: [{id: c, uri: 'rendered:day'}], stages: {detect: {model: street-pico}}}"
    graph = pipeline.build(pipeline.loads(config))
    frames = list(_frames(World(scene, 7, *STREET, FPS), path, round(seconds * FPS)))
    packets: Iterator[Packet] = iter([packet for packet, _ in frames])
    for stage in ("preprocess", "detect", "postprocess"):
        packets = drive(graph.node(stage).make(Run()), packets)
    return list(packets), [rows for _, rows in frames]


def _frames(world: World, path: Path, count: int) -> Iterator[tuple[Packet[Decoded], Floats]]:
    """The pictures of the moving window, and who is in them."""
    for index in range(count):
        frame, (left, top, zoom) = world.render(index), path(index / FPS)
        # OpenCV counts from the middle of the first pixel.
        shift = [0.5 * zoom - 0.5 - zoom * left, 0.5 * zoom - 0.5 - zoom * top]
        matrix = np.column_stack((zoom * np.eye(2), shift))
        image_bgr = cv2.warpAffine(frame.image_bgr, matrix, (WIDTH, HEIGHT))
        whole = (frame.boxes_xyxy - np.tile((left, top), 2)) * zoom
        boxes = np.clip(whole, 0, np.tile((WIDTH, HEIGHT), 2))
        inside = _area(boxes) > 0
        scored = frame.scored & (_area(boxes) > 0.25 * _area(whole))
        rows = rows_of_frame(index, frame.ids, boxes, scored, -1)[inside]
        header = FrameInfo("c", index, index, round(index * 1e9 / FPS), WIDTH, HEIGHT)
        yield Packet(header, Decoded(BgrPicture(image_bgr)), Ticket("c")), rows


def _tracked(preset: str, packets: list[Packet[Detected]]) -> MotTable:
    """What the preset makes of the packets."""
    rows = [np.empty((0, 8))]
    for packet in drive(TrackStage(TrackConfig(preset=preset)), packets):
        tracks = packet.payload.tracks
        columns = tracks.ids, tracks.boxes_xyxy, tracks.scores, -1
        rows.append(rows_of_frame(packet.frame.index, *columns))
    return table_from_rows(np.concatenate(rows))


def _area(boxes_xyxy: Floats) -> Floats:
    area: Floats = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)
    return area


def _row(
    name: str, every: int, preset: str, clips: list[tuple[list[Packet[Detected]], list[Floats]]]
) -> str:
    """One line of the table: all clips of one path together."""
    sums: dict[bool, list[Scores]] = defaultdict(list)
    known = []
    for packets, truth in clips:
        moving = list(drive(CameraMotionStage(480, 100), packets))
        known += [packet.payload.camera_motion is not None for packet in moving[1:]]
        gt = table_from_rows(np.concatenate([truth[packet.frame.index] for packet in packets]))
        for with_motion, given in ((False, packets), (True, moving)):
            sums[with_motion].append(evaluate(gt, _tracked(preset, given)))
    cells = [name, str(every), preset]
    for with_motion in (False, True):
        scores = combine(sums[with_motion]).summary()
        cells += [f"{scores['HOTA']:.1f}", f"{scores['IDF1']:.1f}", f"{scores['IDSW']:.0f}"]
    return "| " + " | ".join([*cells, f"{100 * np.mean(known):.0f} %"]) + " |"


if __name__ == "__main__":
    main()
