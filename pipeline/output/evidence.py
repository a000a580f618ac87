"""Pictures of what happened: the frame, and the object."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.analytics.event import Event
from pipeline.errors import OutputError, PacketError
from pipeline.media.picture import Picture
from pipeline.output.drawing import Image, Pen, Rect, draw_box, draw_panel, draw_tag, track_color
from pipeline.output.message import Message
from pipeline.output.overlay import Outline, draw_event, draw_outline
from pipeline.output.room import Room, is_full
from pipeline.output.series import delete_old
from pipeline.output.spec import RecordingSpec

_log = logging.getLogger(__name__)

_QUALITY = 90  # of a JPEG, 0..100
_MARGIN = 0.25  # around an object, of its width and height


@dataclass(frozen=True, slots=True)
class Files:
    """The pictures of one event.

    Attributes:
        picture: name of the frame's; None where it could not be written.
        crop: name of the object's; None where it could not be, or the event has no track there.
    """

    picture: str | None = None
    crop: str | None = None


class Album:
    """The folder of one camera's pictures, numbered in the order of its events.

    Args:
        folder: made if needed.
        told_from: the folder that the pictures' names are relative to.
        prefix: of all names.
        spec: how much room is left to others, and which old pictures go.
        labels: class names by label index.
        outlines: of the rules' lines and zones.

    Attributes:
        room: whether there is some; how many pictures are `missing`.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        told_from: Path,
        prefix: str,
        spec: RecordingSpec,
        labels: Sequence[str] = (),
        outlines: Sequence[Outline] = (),
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if not is_full(error):  # else there may be room later
                raise OutputError(
                    f"cannot make the folder {folder}: {error.strerror}; change the output's "
                    "'pictures', or the permissions of the folder above"
                ) from error
        self.room = Room(folder / "*.jpg", spec.min_free_bytes)
        self._folder = folder
        self._told = Path(relpath(folder, told_from))
        self._prefix = prefix
        self._spec = spec
        self._labels = labels
        self._outlines = outlines
        self._count = 0

    def add(self, picture: Picture, message: Message, event: Event) -> Files:
        """Takes an event's pictures; what cannot be written is said in the log, and counted."""
        name = f"{self._prefix}{self._count:06d}-{event.rule}"
        self._count += 1
        (place,) = np.nonzero(message.tracks.ids == event.track)
        frame = self._frame(picture, message, event, place)
        crop = _crop(picture, message.tracks.boxes_xyxy[place[0]]) if len(place) else None
        return Files(
            self._written(f"{name}.jpg", frame),
            None if crop is None else self._written(f"{name}-crop.jpg", crop),
        )

    def _frame(
        self, picture: Picture, message: Message, event: Event, place: NDArray[np.intp]
    ) -> Image:
        """The frame with the rule, the track and what happened."""
        canvas = picture.bgr().copy()
        pen = Pen.for_picture(picture.width, picture.height)
        for outline in self._outlines:
            if outline.rule == event.rule:
                draw_outline(canvas, outline, pen, bright=True)
        taken: list[Rect] = []
        for box in message.tracks.boxes_xyxy[place].tolist():
            color = track_color(event.track)
            draw_box(canvas, box, color, pen, dashed=False)
            known = 0 <= event.label < len(self._labels)
            name = self._labels[event.label] if known else str(event.label)
            draw_tag(canvas, f"{event.track} {name}", box, color, pen, taken)
        draw_event(canvas, event, pen, taken)
        draw_panel(canvas, f"{message.camera}  |  {event.pts_ns / 1e9:.2f} s", (0, 0), pen)
        return canvas

    def _written(self, name: str, image_bgr: Image) -> str | None:
        """The name of the picture that was written; None where it could not be."""
        _, jpeg = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        path = self._folder / name
        try:
            with self.room.writing():
                _write(path, jpeg.tobytes())
        except PacketError:  # the room has said so
            return None
        except OSError as error:
            self.room.missing += 1
            _log.warning("%s: cannot be written: %s", path, error.strerror)
            return None
        return (self._told / name).as_posix()

    def tidy(self) -> None:
        """Deletes pictures that are older or more than is to be kept."""
        if self._spec.keep_h is None and self._spec.keep_mb is None:
            return
        names = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\d{6}-.+\.jpg(\.part)?")
        delete_old([p for p in self._folder.iterdir() if names.fullmatch(p.name)], self._spec)


def _write(path: Path, data: bytes) -> None:
    """The whole file under its name, or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _crop(picture: Picture, box_xyxy: NDArray[np.float32]) -> Image | None:
    """The part of the picture with the object; None where it is outside."""
    low, high = box_xyxy[:2].astype(np.float64), box_xyxy[2:].astype(np.float64)
    margin = _MARGIN * (high - low)
    size = picture.width, picture.height
    x1, y1 = np.clip(np.floor(low - margin), 0, size).astype(int).tolist()
    x2, y2 = np.clip(np.ceil(high + margin), 0, size).astype(int).tolist()
    return picture.crop_bgr(x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
