"""Pictures of events: the part of the frame with the object and both tracks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SourceError
from pipeline.evaluation import sequence as sequences
from pipeline.evaluation.continuity import Event
from pipeline.evaluation.mot_files import MotTable
from pipeline.media.picture import Picture
from pipeline.media.sources import is_live, open_source
from pipeline.media.uri import redact
from pipeline.output.drawing import Color, Pen, draw_box, draw_tag
from pipeline.page.pictures import data_uri

_WIDTH = 400  # of what is shown, pixels
_ASPECT = 4 / 3
_QUALITY = 80  # of the JPEG, 0 to 100
_OBJECT: Color = (240, 240, 240)
_BEFORE: Color = (65, 150, 235)
_AFTER: Color = (222, 192, 92)


@dataclass(frozen=True, slots=True)
class Shot:
    """One event's picture.

    Attributes:
        event: what is to be seen.
        jpeg: the picture as a file.
        width: in pixels.
        height: in pixels.
    """

    event: Event
    jpeg: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as an address that holds it."""
        return data_uri(self.jpeg)


def shots(
    uri: str, events: Sequence[Event], sequence: sequences.Sequence, width: float | None
) -> list[Shot]:
    """The pictures of these events that the source has, in order of time.

    Args:
        uri: of a video or of images as `open_source` takes it; its first picture is frame 1.
        events: of the sequence.
        sequence: for the boxes.
        width: of the picture in which the boxes are, pixels; None where they are in the source's.

    Raises:
        SourceError: the source cannot be read, or is a camera.
    """
    if is_live(uri):
        raise SourceError(f"{redact(uri)}: a camera does not show the past; name its recording")
    return [
        _shot(event, picture, sequence, picture.width / (width or picture.width))
        for frame, picture in _frames(uri, {event.frame for event in events})
        for event in events
        if event.frame == frame
    ]


def _frames(uri: str, wanted: Collection[int]) -> Iterator[tuple[int, Picture]]:
    """Number, from 1, and picture of each wanted frame."""
    last = max(wanted, default=0)
    with closing(open_source(uri)) as source:
        source.open()
        for frame in source.frames():
            if frame.index >= last:
                return
            if frame.index + 1 in wanted:
                yield frame.index + 1, frame.picture


def _shot(event: Event, picture: Picture, sequence: sequences.Sequence, scale: float) -> Shot:
    """The object, the track that has it now, and the one before where it is or was last."""
    goes_on = _has(sequence.result, event.frame, event.before).any()
    boxes = scale * np.concatenate(
        [
            _box(sequence.gt, event.frame, event.gt_id),
            _box(sequence.result, event.frame if goes_on else event.since, event.before),
            _box(sequence.result, event.frame, event.after),
        ]
    )
    x1, y1, x2, y2 = _window(boxes, picture.width, picture.height)
    size = _WIDTH, round(_WIDTH * (y2 - y1) / (x2 - x1))
    canvas = cv2.resize(picture.crop_bgr(x1, y1, x2, y2), size, interpolation=cv2.INTER_AREA)
    image = np.ascontiguousarray(canvas, np.uint8)
    shown = (boxes - np.tile([x1, y1], 2)) * _WIDTH / (x2 - x1)
    _draw(image, shown.tolist(), event, dashed=not goes_on)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return Shot(event, jpeg.tobytes(), *size)


def _draw(
    image: NDArray[np.uint8], boxes: list[list[float]], event: Event, *, dashed: bool
) -> None:
    pen = replace(Pen.for_picture(image.shape[1], image.shape[0]), line=2)
    draw_box(image, boxes[0], _OBJECT, pen, dashed=False)
    draw_box(image, boxes[1], _BEFORE, pen, dashed=dashed)
    draw_box(image, boxes[2], _AFTER, pen, dashed=False)
    taken: list[tuple[int, int, int, int]] = []
    draw_tag(image, str(event.after), boxes[2], _AFTER, pen, taken)
    draw_tag(image, str(event.before), boxes[1], _BEFORE, pen, taken)


def _window(boxes_xyxy: NDArray[np.float64], width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a picture in which boxes are seen with what is around them, as a box."""
    limits = np.array([width, height])
    low = np.clip(boxes_xyxy[:, :2].min(axis=0), 0, limits)
    high = np.clip(boxes_xyxy[:, 2:].max(axis=0), 0, limits)
    wide = max(2 * (high - low)[0], 2 * _ASPECT * (high - low)[1], width / 3)
    size = np.minimum([wide, wide / _ASPECT], limits).round()
    start = np.clip((low + high - size) / 2, 0, limits - size).round()
    x1, y1, x2, y2 = np.concatenate([start, start + size]).astype(int).tolist()
    return x1, y1, x2, y2


def _box(table: MotTable, frame: int, identity: int) -> NDArray[np.float32]:
    """(1, 4) xyxy in the pixels of the table, from 0."""
    return table.take(_has(table, frame, identity)).boxes_xyxy


def _has(table: MotTable, frame: int, identity: int) -> NDArray[np.bool_]:
    """(N,) the row of an identity in a frame."""
    mask: NDArray[np.bool_] = (table.frames == frame) & (table.ids == identity)
    return mask
