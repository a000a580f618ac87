"""Tracking: processor time of a frame, on the same detections, by number of objects.

Every tracker runs in a process of its own, on one thread, and is given its frames in its library's
own type. A row is a tracker beside ours (preset `sightline`), so its ratio is how many times faster
ours is. The detections are those of PETS09-S2L1 where the assets are there (about 6 a frame), and
of people who walk about at random, of whom one in ten is missed in a frame. `filterpy` is our
tracker with one filterpy filter an object in place of the batched filter. The libraries come with
`python -m benchmarks.peers install FOLDER`, and are measured where `--peers FOLDER` (or the
environment's SIGHTLINE_PEERS) names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from benchmarks.harness import Goal, Options, Row, interleaved
from benchmarks.peers.environments import missing, title
from benchmarks.peers.process import Peer, running
from benchmarks.peers.scene import Scene
from benchmarks.recordings import recording
from pipeline.evaluation.preprocess import Benchmark

OBJECTS = (6, 30, 100, 300, 1000)
#: Library → those of its trackers that are measured.
TRACKERS = {
    "sightline": ("sightline", "sort", "bytetrack", "ocsort", "filterpy"),
    "roboflow": ("SORT", "ByteTrack", "OC-SORT"),
    "supervision": ("ByteTrack",),
    "norfair": ("demo",),
    "boxmot": ("ByteTrack", "OC-SORT", "ByteTrack (C++)", "OC-SORT (C++)"),
}
OURS = ("sightline", "sightline")
_ROBOFLOW = [("roboflow", name) for name in TRACKERS["roboflow"]]
#: Objects → tracker → how many times faster ours is to be.
GOALS = {
    100: {("supervision", "ByteTrack"): 15, ("boxmot", "ByteTrack"): 30}
    | dict.fromkeys(_ROBOFLOW, 10),
    1000: dict.fromkeys(_ROBOFLOW, 2.5),
}
_SPACING_PX = 60.0
"""Room of an object to each side: few of them meet as often as many."""
_FPS = 25.0

#: Library and tracker.
Name = tuple[str, str]


def rows(options: Options) -> list[Row]:
    """One row a tracker and number of objects."""
    if absent := missing(options.peers):
        print(absent)
    with running(options.peers) as peers:
        found = _found(peers)
        return [row for objects in OBJECTS for row in _rows(options, objects, found)]


def _found(peers: Mapping[str, Peer]) -> dict[Name, Peer]:
    """The trackers that can run here; says which cannot."""
    found = {}
    for library, peer in peers.items():
        problems = peer.trackers()
        for tracker in TRACKERS[library]:
            if problems[tracker]:
                print(f"{title(library, tracker)} is not measured: {problems[tracker]}")
            else:
                found[library, tracker] = peer
    return found


def _rows(options: Options, objects: int, peers: Mapping[Name, Peer]) -> list[Row]:
    path = options.folder / f"{objects}.npz"
    _scene(options, objects).save(path)
    variants = {name: partial(peer.frame_us, name[1], path) for name, peer in peers.items()}
    numbers = interleaved(variants, options.take(1, 5) if objects < 1000 else options.take(1, 3))
    ours = numbers.pop(OURS)
    goals = GOALS.get(objects, {})
    return [Row(f"{objects} objects: {title(*OURS)}", "µs", ours)] + [
        Row(
            f"{objects} objects: {title(*name)}",
            "µs",
            theirs,
            title(*OURS),
            ours,
            Goal("ratio", "at least", goals[name]) if name in goals else None,
        )
        for name, theirs in numbers.items()
    ]


def _scene(options: Options, objects: int) -> Scene:
    if objects == 6 and options.assets is not None:
        folder = options.assets / "tracking/MOT15/PETS09-S2L1"
        return recording(folder, Benchmark.MOT15).scene.first(options.take(100, 795))
    frames = max(8, options.take(3000, 12_000) // objects)
    return walkers(objects, frames, np.random.default_rng(objects))


def walkers(objects: int, frames: int, rng: np.random.Generator) -> Scene:
    """Detections of people who walk about at random; one in ten is missed in a frame."""
    side = _SPACING_PX * objects**0.5
    centre = rng.uniform(0, side, (objects, 2))
    size = np.column_stack([rng.uniform(12, 20, objects), rng.uniform(30, 50, objects)])
    velocity = rng.normal(0, 1.5, (objects, 2))
    boxes = []
    for _ in range(frames):
        velocity += rng.normal(0, 0.1, (objects, 2))
        centre = (centre + velocity) % side
        seen = rng.random(objects) > 0.1
        middle = centre[seen] + rng.normal(0, 0.5, (seen.sum(), 2))
        boxes.append(np.hstack([middle - size[seen] / 2, middle + size[seen] / 2]))
    counts = np.array([len(found) for found in boxes])
    scores = rng.uniform(0.3, 1, counts.sum()).astype(np.float32)
    return Scene(_FPS, np.arange(frames), counts, np.concatenate(boxes).astype(np.float32), scores)
