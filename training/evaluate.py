"""Measures the exported models on clips of worlds that no training has seen.

`python -m training.evaluate` prints AP50 of the detector per scene and class, and rank-1 of the
ReID network. Needs neither torch nor the training data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engines import create
from engines.failover import Candidate
from pipeline.detection.detections import Detections
from pipeline.detection.postprocess import Postprocessor, to_source
from pipeline.detection.roi_head import RoiHeadSpec
from pipeline.detection.two_stage import TwoStage, TwoStageSpec
from pipeline.evaluation.detection_ap import average_precisions
from pipeline.evaluation.mot_files import table_from_rows
from pipeline.media.picture import BgrPicture
from pipeline.media.preprocess import Preprocessor
from pipeline.models import ModelPackage, load_model
from pipeline.network import BoundNetwork
from pipeline.world import LABELS, SCENES, World, WorldFrame
from training.dataset import crop
from training.render import write_clip
from training.seeds import TEST

Floats = NDArray[np.float32]
AnyDetector = Callable[[NDArray[np.uint8]], Detections]

_FRAMES, _STEP = 200, 8
_SCORE = 0.02
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


class Detector:
    """An exported detector, used the way the pipeline uses it.

    Args:
        folder: of its model package.
    """

    def __init__(self, folder: Path) -> None:
        package = load_model(folder)
        manifest = package.manifest
        assert manifest.head is not None  # `load_model` refuses such a manifest
        self._preprocess = _preprocessor(package)
        self._postprocess = Postprocessor(
            manifest.head, manifest.class_names, score=_SCORE, nms_iou=0.6
        )
        self._network = _opened(package)

    def __call__(self, image_bgr: NDArray[np.uint8]) -> Detections:
        """The objects in one picture, in its pixels."""
        tensor, placement = self._preprocess(BgrPicture(image_bgr))
        return self._postprocess(self._network.run(tensor), placement)


class TwoStageDetector:
    """An exported two-stage detector, used the way the pipeline uses it.

    Args:
        first: folder of the first network's package.
        second: folder of the second network's package.
    """

    def __init__(self, first: Path, second: Path) -> None:
        package, head = load_model(first), load_model(second)
        rpn, roi_head = package.manifest.rpn, head.manifest.roi_head
        assert rpn is not None  # `load_model` refuses such manifests
        assert roi_head is not None
        self._preprocess = _preprocessor(package)
        self._first, self._second = _opened(package), _opened(head)
        self._levels, self._head = rpn.levels, roi_head
        rows, columns = head.input.shape[2:]
        self._detect = TwoStage(
            TwoStageSpec(
                rpn.spec,
                roi_head.pooling_of(rpn, rows, columns),
                RoiHeadSpec(roi_head.weights, roi_head.background, score=_SCORE),
            ),
            self._run_first,
            self._run_second,
        )

    def __call__(self, image_bgr: NDArray[np.uint8]) -> Detections:
        """The objects in one picture, in its pixels."""
        tensor, placement = self._preprocess(BgrPicture(image_bgr))
        return to_source(self._detect(tensor), placement)

    def _run_first(self, image: Floats) -> tuple[list[Floats], list[Floats], list[Floats]]:
        found = self._first.run(image)
        return (
            [found[level.features] for level in self._levels if level.features],
            [found[level.objectness] for level in self._levels],
            [found[level.deltas] for level in self._levels],
        )

    def _run_second(self, rois: Floats) -> tuple[Floats, Floats]:
        found = self._second.run_rows(rois)
        return found[self._head.box_deltas], found[self._head.cls_logits]


def _preprocessor(package: ModelPackage) -> Preprocessor:
    manifest, tensor = package.manifest, package.input
    assert manifest.preprocess is not None  # `load_model` refuses such a manifest
    return Preprocessor(manifest.preprocess, *manifest.input_size, tensor.dtype, tensor.layout)


def _opened(package: ModelPackage) -> BoundNetwork:
    make = partial(create, "cpu0", "onnxruntime")
    network = BoundNetwork([Candidate("cpu0", make, package.program)])
    network.open()
    return network


def evaluate_detector(
    detector: AnyDetector, seeds: tuple[int, ...], frames: int, step: int
) -> float:
    """Prints AP50 per scene and class; returns the lowest scene's mean."""
    means = []
    for scene in SCENES:
        shown = (frame for seed in seeds for frame in clip(scene, seed, frames, step))
        by_name = average_precisions_of(detector, shown)
        means.append(float(np.mean(list(by_name.values()))))
        kinds = "  ".join(f"{name} {value:.3f}" for name, value in by_name.items())
        print(f"{scene:6s} AP50 {means[-1]:.3f}   {kinds}", flush=True)
    return min(means)


def average_precisions_of(detector: AnyDetector, frames: Iterable[WorldFrame]) -> dict[str, float]:
    """AP50 of each kind of object that is there, 0..1."""
    truth: list[tuple[float, ...]] = []
    found: list[tuple[float, ...]] = []
    for number, frame in enumerate(frames, 1):
        seen = detector(frame.image_bgr)
        truth += _rows(number, frame.boxes_xyxy, frame.scored, frame.labels)
        found += _rows(number, seen.boxes_xyxy, seen.scores, seen.labels)
    by_class = average_precisions(table_from_rows(truth), table_from_rows(found))
    return {LABELS[number - 1]: value for number, value in by_class.items()}


def _rows(
    number: int,
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32] | NDArray[np.bool_],
    labels: NDArray[np.int32],
) -> list[tuple[float, ...]]:
    """One frame's boxes as rows of a table; classes count from 1 there."""
    columns = zip(boxes_xyxy.tolist(), scores.tolist(), labels.tolist(), strict=True)
    return [
        (number, -1, x1, y1, x2 - x1, y2 - y1, score, label + 1)
        for (x1, y1, x2, y2), score, label in columns
    ]


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


def time_model(path: Path, batch: int = 1, runs: int = 40) -> float:
    """Prints and returns the milliseconds of a run on one thread, the median of `runs`."""
    session = open_model(path)
    entry = session.get_inputs()[0]
    pixels = np.zeros((batch, *entry.shape[1:]), np.float32)
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        session.run(None, {entry.name: pixels})
        times.append(1e3 * (time.perf_counter() - started))
    print(f"{path.name}: {np.median(times):.1f} ms for {batch}, least {min(times):.1f}, one thread")
    return float(np.median(times))


def _one_stage(models: Path, *work: Any) -> None:
    folder = models / "street-pico"
    evaluate_detector(Detector(folder), *work)
    time_model(folder / "street-pico.onnx")


def _two_stage(models: Path, *work: Any) -> None:
    first, second = models / "street-duo-rpn", models / "street-duo-head"
    evaluate_detector(TwoStageDetector(first, second), *work)
    time_model(first / "street-duo-rpn.onnx")
    time_model(second / "street-duo-head.onnx", batch=100)


def _reid(models: Path, *work: Any) -> None:
    path = models / "reid-pico" / "reid-pico.onnx"
    evaluate_reid(path, *work)
    time_model(path)


_EVALUATIONS = {"detector": _one_stage, "two_stage": _two_stage, "reid": _reid}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--seeds", type=int, nargs="*", default=TEST)
    parser.add_argument("--frames", type=int, default=_FRAMES)
    parser.add_argument("--step", type=int, default=_STEP)
    parser.add_argument("--only", choices=_EVALUATIONS)
    arguments = parser.parse_args()
    work = (tuple(arguments.seeds), arguments.frames, arguments.step)
    for name, evaluate in _EVALUATIONS.items():
        if arguments.only in (None, name):
            evaluate(arguments.models, *work)


if __name__ == "__main__":
    main()
