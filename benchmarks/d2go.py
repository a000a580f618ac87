"""D2Go's two halves, each on any engine, and what they find in a video; not a benchmark itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import engines
from engines import Engine, Network, border
from engines.program import Tensors
from engines.sim_npu import artefact as artefacts
from engines.sim_npu import profiles
from engines.sim_npu.compiler.compile import compile_network
from pipeline.detection.anchors import Anchors
from pipeline.detection.detections import Detections
from pipeline.detection.proposals import ProposalSpec, propose
from pipeline.detection.pyramid import Pooling, pooled
from pipeline.detection.roi_head import RoiHeadSpec
from pipeline.detection.two_stage import TwoStage, TwoStageSpec, in_batches
from pipeline.evaluation.mot_files import MotTable, rows_of_frame, table_from_rows
from pipeline.media.geometry import Placement
from pipeline.media.picture import Picture
from pipeline.media.preprocess import Preprocessor
from pipeline.media.sources import open_source
from pipeline.models.manifest import PreprocessSpec
from pipeline.tracking.tracker import Tracker

Floats = NDArray[np.float32]

#: Of the images: 4 to 3, the shorter side as the network was measured with.
WIDTH, HEIGHT = 427, 320
#: Proposals a picture, which is also the batch of the second half on a device.
PROPOSALS = 30
SPEC = TwoStageSpec(
    ProposalSpec((Anchors((32, 64, 96, 128, 160), (0.5, 1, 2), 16),), keep=PROPOSALS),
    Pooling(6, 6, (16,)),
    RoiHeadSpec(),
)
#: The halves' outputs in the order that `TwoStage` takes them.
FIRST = "features", "objectness", "anchor_deltas"
SECOND = "box_deltas", "cls_logits"
#: Objects of a lower score are not tracked; Faster R-CNN's scores are softmax's, near 0 or 1.
SCORE = 0.5
#: Pedestrian, among the labels of the network and in the ground truth.
PERSON, PEDESTRIAN = 0, 1
#: The device, where no other is named.
NNIE = "hi3559a-nnie"
#: What is calibrated on, and that every so many of its frames count.
CALIBRATION, APART = "videos/PETS09-S2L1_vtest_480x360.avi", 40


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video as the network takes it.

    Attributes:
        pts_ns: its time.
        image: (1, 3, `HEIGHT`, `WIDTH`) BGR, 0..255.
        placement: of the frame in the image.
    """

    pts_ns: int
    image: Floats
    placement: Placement


@dataclass(frozen=True, slots=True)
class Look:
    """A way to look at a picture, by which nothing in it becomes another.

    Attributes:
        moved: to the right and down, the edge repeated, in pixels of the image.
        mirrored: left and right change places.
    """

    moved: int = 0
    mirrored: bool = False


def pictures(video: Path, every: int = 1) -> Iterator[tuple[int, Picture]]:
    """Every so many frames of a video, each with its time in nanoseconds."""
    source = open_source(str(video))
    try:
        source.open()
        for frame in source.frames():
            if frame.index % every == 0:
                yield frame.pts_ns, frame.picture
    finally:
        source.close()


def frames(video: Path, every: int = 1) -> Iterator[Frame]:
    """The same as the network takes them."""
    dtype = np.dtype(np.float32)
    preprocessor = Preprocessor(PreprocessSpec(resize="stretch"), WIDTH, HEIGHT, dtype, "nchw")
    for pts_ns, picture in pictures(video, every):
        yield Frame(pts_ns, *preprocessor(picture))


def network(assets: Path, half: int, kind: str = "fp32") -> Network:
    """One half, 1 or 2, as it was published: ``fp32``, or ``int8qdq``."""
    return Network(assets / f"models/d2go/d2go_frcnn_stage{half}_{kind}.onnx", "onnx")


def opened(network: Network) -> Engine:
    """An engine that holds a network, on one thread: the simulated NPU's where it is compiled."""
    if network.target:
        engine = engines.create(network.path.stem, "sim-npu", threads=1, profile=network.target)
    else:
        engine = engines.create(network.path.stem, "onnxruntime", threads=1)
    engine.init()
    engine.prepare(network)
    return engine


def stage(engine: Engine, outputs: Sequence[str] = ()) -> Callable[[Floats], tuple[Floats, ...]]:
    """What an engine makes of its one input, in real numbers: these outputs, or all."""
    (given,) = engine.inputs
    names = outputs or [spec.name for spec in engine.outputs]

    def run(array: Floats) -> tuple[Floats, ...]:
        border.give(engine, given.name, array)
        engine.forward()
        return tuple(border.take(engine, name) for name in names)

    return run


@contextmanager
def detector(first: Network, second: Network) -> Iterator[TwoStage]:
    """The two halves, each on an engine of its own; the second is given one batch at a time."""
    with opened(first) as one, opened(second) as two:
        first_outputs = stage(one, FIRST)
        second_stage: Any = stage(two, SECOND)

        def first_stage(image: Floats) -> Any:
            return tuple([output] for output in first_outputs(image))

        yield TwoStage(SPEC, first_stage, in_batches(second_stage, PROPOSALS))


def recorded(assets: Path) -> tuple[list[Tensors], list[Tensors]]:
    """What both halves are calibrated with: frames of PETS09-S2L1, and their proposals' features.

    Of the frames in which there are fewer proposals than a batch, the second half sees none.
    """
    images = [frame.image for frame in frames(assets / CALIBRATION, APART)]
    with opened(network(assets, 1)) as engine:
        first: Any = stage(engine, FIRST)
        rois = [_rois(*first(image)) for image in images]
    full = [{"roi_features": array} for array in rois if len(array) == PROPOSALS]
    return [{"image": image} for image in images], full


def _rois(features: Floats, objectness: Floats, deltas: Floats) -> Floats:
    found = propose(SPEC.proposals, [objectness], [deltas], WIDTH, HEIGHT)
    return pooled(SPEC.pooling, [features], found.boxes_xyxy)


def compiled(
    network: Network, inputs: Sequence[Tensors], folder: Path, method: str, profile: str = NNIE
) -> Network:
    """A network for the simulated NPU, as a file in `folder`.

    Args:
        network: to be compiled.
        inputs: recorded.
        folder: for the artefact.
        method: of calibration.
        profile: of the device.
    """
    device = profiles.find(profile)
    made = compile_network(network.path, device, inputs, method=method)
    path = folder / f"{network.path.stem}-{profile}-{method}.slnpu"
    artefacts.write(made, path)
    return Network(path, artefacts.TARGET, target=profile)


def found(detect: TwoStage, frame: Frame, look: Look) -> Detections:
    """The objects in a frame, in its own pixels, however the detector looks at it."""
    edge = (look.moved, 0)
    image = np.pad(frame.image, ((0, 0), (0, 0), edge, edge), "edge")[:, :, :HEIGHT, :WIDTH]
    objects = detect(np.ascontiguousarray(image[..., ::-1]) if look.mirrored else image)
    x1, y1, x2, y2 = objects.boxes_xyxy.T
    if look.mirrored:
        x1, x2 = WIDTH - x2, WIDTH - x1
    boxes = np.column_stack([x1, y1, x2, y2]) - look.moved
    return Detections(frame.placement.to_source(boxes), objects.scores, objects.labels)


def people(detections: Sequence[Detections]) -> MotTable:
    """The people in each frame, as `average_precision` takes them."""
    rows = [
        rows_of_frame(index, -1, objects.boxes_xyxy, objects.scores, PEDESTRIAN)
        for index, every in enumerate(detections)
        for objects in [every.take(every.labels == PERSON)]
    ]
    return table_from_rows(np.concatenate(rows))


def tracks(
    detections: Sequence[Detections], times_ns: Sequence[int], *, backwards: bool = False
) -> MotTable:
    """The people among the detections, followed by the tracker as it is when nothing is configured.

    Args:
        detections: of each frame.
        times_ns: of each frame, rising.
        backwards: from the last frame to the first.
    """
    tracker, rows, way = Tracker(), [], -1 if backwards else 1
    for index in range(len(detections))[::way]:
        every = detections[index]
        sure = every.take((every.labels == PERSON) & (every.scores >= SCORE))
        tracked = tracker.update(sure, way * times_ns[index])
        boxes, scores = tracked.boxes_xyxy, tracked.scores
        rows.append(rows_of_frame(index, tracked.ids, boxes, scores, PEDESTRIAN))
    return table_from_rows(np.concatenate(rows))
