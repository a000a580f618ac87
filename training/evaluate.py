"""Measures the exported models on clips of worlds that no training has seen.

`python -m training.evaluate` prints AP50 of the detector per scene and class, and rank-1 of the
ReID network. Needs neither torch nor the training data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pipeline.world import LABELS, SCENES, World, WorldFrame
from training.average_precision import Scored, average_precision
from training.boxes import decode, suppress
from training.dataset import NETWORK_HEIGHT, NETWORK_WIDTH, as_network_input, counts, crop
from training.render import write_clip
from training.seeds import TEST

_FRAMES, _STEP = 200, 8
_GAP_FRAMES = 25
_REID_VISIBILITY, _REID_HEIGHT_PX = 0.5, 20


def clip(scene: str, seed: int, frames: int, step: int) -> Iterator[WorldFrame]:
    """Yields every `step`-th frame of a world, with the picture as decoded from H.264."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        world = World(scene, seed)
        write_clip(world, frames, path)
        with av.open(str(path)) as container:
            for index, picture in enumerate(container.decode(video=0)):
                if index % step == 0:
                    frame = world.render(index)
                    frame.image_bgr[:] = picture.to_ndarray(format="bgr24")
                    yield frame


def open_model(path: Path) -> onnxruntime.InferenceSession:
    """Opens an exported network on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def detect(
    session: onnxruntime.InferenceSession, image_bgr: NDArray[np.uint8], score: float = 0.02
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Returns boxes (N, 4) in source pixels, scores (N,) and labels (N,) of one picture."""
    height, width = image_bgr.shape[:2]
    pixels = as_network_input(image_bgr).transpose(2, 0, 1)[None].astype(np.float32)
    raw = np.asarray(session.run(None, {"images": pixels})[0])[0]
    boxes, scores, labels = decode(raw, NETWORK_HEIGHT, NETWORK_WIDTH, score)
    kept = suppress(boxes, scores, labels, iou=0.6)
    ratio = np.array([width / NETWORK_WIDTH, height / NETWORK_HEIGHT] * 2, np.float32)
    return boxes[kept] * ratio, scores[kept], labels[kept]


def evaluate_detector(path: Path, seeds: tuple[int, ...], frames: int, step: int) -> float:
    """Prints AP50 per scene and class; returns the lowest scene's mean."""
    session, means = open_model(path), []
    for scene in SCENES:
        shown = (frame for seed in seeds for frame in clip(scene, seed, frames, step))
        found = [score_frame(session, frame) for frame in shown]
        values = {name: average_precision(found, label) for label, name in enumerate(LABELS)}
        present = [value for value in values.values() if value is not None]
        means.append(float(np.mean(present)))
        kinds = "  ".join(
            f"{name} {'-' if value is None else format(value, '.3f')}"
            for name, value in values.items()
        )
        print(f"{scene:6s} AP50 {means[-1]:.3f}   {kinds}   ({len(found)} frames)", flush=True)
    return min(means)


def score_frame(session: onnxruntime.InferenceSession, frame: WorldFrame) -> Scored:
    """Returns the detections of a frame beside its truth."""
    boxes, scores, labels = detect(session, frame.image_bgr)
    return Scored(boxes, scores, labels, frame.boxes_xyxy, frame.labels, counts(frame))


def evaluate_reid(path: Path, seeds: tuple[int, ...], frames: int, step: int) -> float:
    """Prints and returns rank-1: how often the nearest crop of an earlier time is the same object.

    Each crop is compared with one crop of every object of the same world and label, taken at the
    last sampled frame at least 25 frames before; only objects that were seen then are asked for.
    """
    session, right, asked = open_model(path), 0, 0
    for scene in SCENES:
        for seed in seeds:
            hits, total = rank_one(session, list(clip(scene, seed, frames, step)))
            right, asked = right + hits, asked + total
    print(
        f"ReID rank-1 {right / asked:.3f} over {asked} queries, {_GAP_FRAMES} frames apart or more"
    )
    return right / asked


def rank_one(session: onnxruntime.InferenceSession, frames: list[WorldFrame]) -> tuple[int, int]:
    """Returns how many queries of one clip were answered right, and how many there were."""
    right = asked = 0
    gallery: dict[int, tuple[int, int, NDArray[np.float32]]] = {}
    waiting: list[tuple[int, dict[int, tuple[int, int, NDArray[np.float32]]]]] = []
    for frame in frames:
        while waiting and waiting[0][0] <= frame.index - _GAP_FRAMES:
            gallery |= waiting.pop(0)[1]
        seen = _embedded(session, frame)
        for track_id, (label, _, vector) in seen.items():
            if track_id in gallery:
                rivals = {name: row[2] for name, row in gallery.items() if row[0] == label}
                best = max(rivals, key=lambda name: float(rivals[name] @ vector))
                right, asked = right + (best == track_id), asked + 1
        waiting.append((frame.index, seen))
    return right, asked


def _embedded(
    session: onnxruntime.InferenceSession, frame: WorldFrame
) -> dict[int, tuple[int, int, NDArray[np.float32]]]:
    """Returns label, frame index and embedding of each well visible object, by track id."""
    tall = frame.boxes_xyxy[:, 3] - frame.boxes_xyxy[:, 1] >= _REID_HEIGHT_PX
    rows = np.flatnonzero(tall & (frame.visibility >= _REID_VISIBILITY))
    if not len(rows):
        return {}
    crops = np.stack([crop(frame.image_bgr, frame.boxes_xyxy[row]) for row in rows])
    pixels = crops.transpose(0, 3, 1, 2).astype(np.float32)
    vectors = np.asarray(session.run(None, {"crops": pixels})[0])
    named = zip(frame.ids[rows].tolist(), frame.labels[rows].tolist(), vectors, strict=True)
    return {track_id: (label, frame.index, vector) for track_id, label, vector in named}


def time_model(path: Path, runs: int = 40) -> float:
    """Prints and returns the milliseconds one picture takes on one thread, the median of `runs`."""
    session = open_model(path)
    entry = session.get_inputs()[0]
    pixels = np.zeros((1, *entry.shape[1:]), np.float32)
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        session.run(None, {entry.name: pixels})
        times.append(1e3 * (time.perf_counter() - started))
    print(f"{path.name}: {np.median(times):.1f} ms per picture, least {min(times):.1f}, one thread")
    return float(np.median(times))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--seeds", type=int, nargs="*", default=TEST)
    parser.add_argument("--frames", type=int, default=_FRAMES)
    parser.add_argument("--step", type=int, default=_STEP)
    parser.add_argument("--only", choices=("detector", "reid"))
    arguments = parser.parse_args()
    work = (tuple(arguments.seeds), arguments.frames, arguments.step)
    if arguments.only != "reid":
        detector = arguments.models / "street-pico" / "street-pico.onnx"
        evaluate_detector(detector, *work)
        time_model(detector)
    if arguments.only != "detector":
        reid = arguments.models / "reid-pico" / "reid-pico.onnx"
        evaluate_reid(reid, *work)
        time_model(reid)


if __name__ == "__main__":
    main()
