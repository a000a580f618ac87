"""What a network is calibrated with and judged on: pictures, crops, or recorded tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray

from engines import TensorSpec
from engines.program import Tensors
from pipeline.errors import DataError
from pipeline.media.geometry import Placement
from pipeline.media.picture import BgrPicture, Picture
from pipeline.media.preprocess import Preprocessor
from pipeline.media.uri import redact
from pipeline.models.manifest import OF_CROPS, Manifest
from pipeline.models.samples import (
    NO_MANIFEST,
    batch_of,
    frames,
    picture_input,
    preprocessor,
)
from pipeline.payloads import Detected, Tracked
from pipeline.quantisation.recorded import holds_inputs, recorded
from pipeline.quantisation.truth import FileTruth, Truth, at_hand
from pipeline.recording.file import Recording

#: Pictures that are taken from a source, of which every third is held out.
FRAMES, HELD_OUT = 24, 3
#: Of one picture.
MOST_CROPS = 8
#: Whole pictures are also taken enlarged, their middle only: what a network will see may be nearer
#: than what it is calibrated with, and a range that cuts that off must not win.
ZOOMS = (1, 2, 4)
#: A picture whose values lie this near together shows nothing.
_FLAT = 8


@dataclass(frozen=True, slots=True)
class Request:
    """What a user wants a network to be calibrated with.

    Attributes:
        source: a video, an image, a folder of images, anything else `open_source` opens, a file of
            `sightline record`, or a file or folder of ``.npz`` or ``.npy`` arrays.
        frames: pictures, or recorded tensors, that are taken from it.
        boxes: MOTChallenge file of the boxes to cut crops from.
        truth: MOTChallenge file of what a detector should find.
        scale: multiplies the boxes of either, for a resized video.
        size: width and height, pixels, of a network that takes any; None as its manifest says, or
            where that says none the picture's own.
        batch: rows of a recorded tensor that the network takes at once; None as recorded.
    """

    source: str
    frames: int = FRAMES
    boxes: Path | None = None
    truth: Path | None = None
    scale: float = 1.0
    size: tuple[int, int] | None = None
    batch: int | None = None

    @property
    def name(self) -> str:
        """Of the source, for messages and reports: without secrets."""
        return redact(self.source)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of a network.

    Attributes:
        tensors: every input by name.
        frame: index of the picture in its source.
        placement: how the picture lies in the input; None where that is a crop or no picture.
        zoom: 1 for the whole picture, else how much its middle is enlarged.
        identity: of the object in a crop; -1 where unknown.
    """

    tensors: Tensors
    frame: int = 0
    placement: Placement | None = None
    zoom: int = 1
    identity: int = -1


@dataclass(frozen=True, slots=True)
class Material:
    """Samples of one source.

    Attributes:
        calibration: from which ranges are taken.
        held_out: on which quality is measured; the same where there are too few for both.
        truth: what is to be seen in the source; None where nobody knows.
        told: where all is from, for reports.
    """

    calibration: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    truth: Truth | None
    told: str


@dataclass(frozen=True, slots=True)
class _Scene:
    """One picture, and what is in it as far as known.

    Attributes:
        index: of the picture in its source.
        boxes_xyxy: (N, 4) source pixels; None where nobody said.
        ids: (N,) of the objects, -1 where unknown.
    """

    index: int
    picture: Picture
    boxes_xyxy: NDArray[np.float32] | None = None
    ids: NDArray[np.int64] | None = None


def gather(specs: Sequence[TensorSpec], manifest: Manifest | None, request: Request) -> Material:
    """Takes samples for a network from a source.

    Args:
        specs: the network's inputs.
        manifest: of its model; None where there is none: then pictures go in as BGR 0..255,
            stretched to the input.
        request: where from, and how many.

    Raises:
        DataError: the source shows nothing, or holds what the network does not take.
        SourceError: it cannot be read.
    """
    task = manifest.task if manifest else ""
    of_crops = task in OF_CROPS
    _require(request.boxes is None or of_crops, "--boxes goes with a model of crops")
    _require(request.truth is None or task == "detect", "--truth goes with a detector")
    if holds_inputs(path := Path(request.source), specs):
        runs = recorded(path, specs, request.batch)[: request.frames]
        samples = [Sample(tensors, number) for number, tensors in enumerate(runs)]
        _require_content((s.tensors[spec.name] for s in samples for spec in specs), 0, request)
        return _split(samples, None, f"{len(samples)} recorded inputs of {request.name}")
    spec = _picture_spec(specs, request)
    _require(request.batch is None, "--batch goes with recorded tensors; pictures go one by one")
    known = _truth(request) if task else None
    scenes = list(_scenes(request))
    _require_content((scene.picture.bgr() for scene in scenes), _FLAT, request)
    prepare = _preprocessor(spec, manifest, scenes[0].picture, request)
    told = f"{len(scenes)} pictures of {request.name}"
    if of_crops:
        samples = list(_crops(spec.name, prepare, scenes, known))
        _require(bool(samples), f"{known and known.source}: no box in any of the {told}")
        return _split(samples, None, f"{len(samples)} crops of {told}")
    samples = [_view(spec, prepare, scene, zoom) for scene in scenes for zoom in ZOOMS]
    told += f", each also enlarged {' and '.join(map(str, ZOOMS[1:]))} times"
    return _split(samples, known, told if manifest else f"{told}; {NO_MANIFEST}")


def _split(samples: list[Sample], truth: Truth | None, told: str) -> Material:
    """Every third frame is held out; with fewer frames than that, none is."""
    order = {frame: place for place, frame in enumerate(dict.fromkeys(s.frame for s in samples))}
    if len(order) < HELD_OUT:
        return Material(tuple(samples), tuple(samples), truth, f"{told}; judged on the same")
    places = [order[sample.frame] % HELD_OUT for sample in samples]
    rest, held_out = (
        tuple(s for s, place in zip(samples, places, strict=True) if (place == HELD_OUT - 1) is out)
        for out in (False, True)
    )
    out = len({sample.frame for sample in held_out})
    return Material(rest, held_out, truth, f"{told}; {out} of {len(order)} held out to judge on")


def _scenes(request: Request) -> Iterator[_Scene]:
    """The pictures of a source, spread over it."""
    path = Path(request.source)
    if not path.is_file() or not is_zipfile(path):
        for frame in frames(request.source, request.frames):
            yield _Scene(frame.index, frame.picture)
        return
    with Recording(path) as recording:
        apart = max(len(recording) // request.frames, 1)
        for packet in islice(recording.packets(), 0, request.frames * apart, apart):
            payload, index = packet.payload, packet.frame.index
            if isinstance(payload, Tracked):
                tracks = payload.tracks
                yield _Scene(index, payload.picture, tracks.boxes_xyxy, tracks.ids)
            elif isinstance(payload, Detected):
                boxes = payload.detections.boxes_xyxy
                yield _Scene(index, payload.picture, boxes, np.full(len(boxes), -1))
            else:
                yield _Scene(index, payload.picture)


def _truth(request: Request) -> Truth | None:
    """What the user says, else what is known of the source anyway; None where nothing is."""
    if path := request.boxes or request.truth:
        return FileTruth(path, request.scale)
    return at_hand(request.source)


def _picture_spec(specs: Sequence[TensorSpec], request: Request) -> TensorSpec:
    spec = picture_input(specs)
    if spec is None or len(specs) > 1:
        names = ", ".join(map(str, specs))
        raise DataError(
            f"{request.name}: the network takes {names}, which no picture makes; give a folder "
            f"of .npz files with arrays of these names"
        )
    return spec


def _preprocessor(
    spec: TensorSpec, manifest: Manifest | None, first: Picture, request: Request
) -> Preprocessor:
    how = manifest.preprocess if manifest else None
    size = request.size or (how and how.size) or (first.width, first.height)
    prepare = preprocessor(spec, how, size)
    if request.size is not None and prepare.size != request.size:
        raise DataError(f"--size: the network takes {prepare.size[0]}x{prepare.size[1]} only")
    return prepare


def _view(spec: TensorSpec, prepare: Preprocessor, scene: _Scene, zoom: int) -> Sample:
    """The picture, or its middle enlarged."""
    picture = scene.picture
    if zoom > 1:
        width, height = max(picture.width // zoom, 1), max(picture.height // zoom, 1)
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        picture = BgrPicture(picture.crop_bgr(left, top, left + width, top + height))
    tensor, placement = prepare(picture)
    batch = np.repeat(tensor, batch_of(spec), axis=0)
    return Sample({spec.name: batch}, scene.index, placement, zoom)


def _crops(
    name: str, prepare: Preprocessor, scenes: Iterable[_Scene], boxes: Truth | None
) -> Iterator[Sample]:
    """One sample a box, as the stages of crops cut it; the whole picture where there are none."""
    for scene in scenes:
        found, picture = _in_boxes(scene, boxes), scene.picture
        whole = np.array([[0, 0, picture.width, picture.height]], np.float32)
        corners = whole if found.boxes_xyxy is None else found.boxes_xyxy
        ids = np.array([-1]) if found.ids is None else found.ids
        rows = np.argsort(ids, kind="stable")[:MOST_CROPS]  # the same people, picture by picture
        crops = prepare.crops(picture, corners[rows])
        for crop, identity in zip(crops, ids[rows].tolist(), strict=True):
            yield Sample({name: crop[None]}, scene.index, identity=identity)


def _in_boxes(scene: _Scene, boxes: Truth | None) -> _Scene:
    """The scene with what is known to be in it."""
    if boxes is None or scene.boxes_xyxy is not None:
        return scene
    here = boxes.objects(scene.index)
    return replace(scene, boxes_xyxy=here.boxes_xyxy, ids=here.ids)


def _require(held: bool, complaint: str) -> None:
    if not held:
        raise DataError(complaint)


def _require_content(arrays: Iterable[NDArray[Any]], flat: int, request: Request) -> None:
    """Raises `DataError` where there is nothing, or every array is of one value."""
    spread = [(float(np.ptp(array)), float(array.max(initial=0))) for array in arrays if array.size]
    _require(bool(spread), f"{request.name}: there is nothing in it; record a real scene")
    if all(width <= flat for width, _ in spread):
        what = "black" if all(most <= flat for _, most in spread) else "of one colour"
        raise DataError(
            f"{request.name}: all {len(spread)} are {what}; ranges cannot be told from that: "
            "record a real scene"
        )
