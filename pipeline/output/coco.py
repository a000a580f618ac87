"""Results as a COCO data set: pictures, boxes with identities and categories in one JSON object.

The keys are those of COCO (https://cocodataset.org/#format-data) and, for what a video has beyond
pictures, those of TAO (https://github.com/TAO-Dataset/tao): ``videos``, ``frame_index``,
``track_id``. To COCO, a picture without boxes has nothing in it; an image says its `status` beside,
so that a blind frame can be told from an empty one.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import OutputError
from pipeline.output.events import compact
from pipeline.output.files import TextFile
from pipeline.output.jsonmessage import BOX, SCORE, STATUSES, attribute_texts, rounded
from pipeline.output.message import Message

_INFO = {"description": "Sightline tracks", "version": "1"}
_HEADER = f'{{"info":{compact(_INFO)},"licenses":[],"annotations":[\n'
_VIDEO_ID = 1  # a file is of one camera
_CHUNK_BYTES = 1 << 20


class CocoFile(TextFile):
    """One camera's results; one JSON object when finished, in the same memory at any length.

    Annotations are written as they come. The images are a list behind them, so until the end they
    are kept in a file without a name, in the same folder.

    Args:
        path: as `PartFile`.
        labels: class names by label index; a label beyond them is a category by its number.

    Raises:
        OutputError: as `PartFile`.
    """

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        super().__init__(path, _HEADER)
        self._names = dict(enumerate(labels))
        self._camera = ""
        self._annotations = 0
        self._images_bytes = 0
        try:
            self._images = tempfile.TemporaryFile(dir=path.parent, buffering=0)  # noqa: SIM115
        except OSError as error:
            super().close()
            raise OutputError(f"cannot write beside {path}: {error.strerror}") from error

    @property
    def size(self) -> int:
        """Bytes in it, when it is finished now, but for its last lines."""
        return super().size + self._images_bytes

    def write(self, message: Message) -> None:
        """Appends a frame, all of it or nothing.

        Raises:
            OutputError: as `TextFile.append`.
        """
        image = _item(self._images_bytes, compact(_image(message)))
        self._keep(image)
        annotations = list(_annotation_texts(message, self._annotations + 1))
        if annotations:
            self.append(_item(self._annotations, ",\n".join(annotations)))
        self._images_bytes += len(image.encode())
        self._annotations += len(annotations)
        self._camera = message.camera
        for label in set(message.tracks.labels.tolist()) - self._names.keys():
            self._names[label] = str(label)

    def _keep(self, image: str) -> None:
        """Writes an image behind those that count."""
        data = image.encode()
        try:
            if os.pwrite(self._images.fileno(), data, self._images_bytes) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise OutputError(f"cannot write {self._file.path}: {error.strerror}") from error

    def finish(self, missing: int = 0) -> bool:
        """As `TextFile.finish`, with the images and all else that belongs behind the annotations.

        Raises:
            OutputError: as `TextFile.finish`; what is written is no JSON then.
        """
        self.append('],\n"images":[\n')
        for start in range(0, self._images_bytes, _CHUNK_BYTES):
            length = min(_CHUNK_BYTES, self._images_bytes - start)
            self._append(os.pread(self._images.fileno(), length, start))
        videos = [{"id": _VIDEO_ID, "name": self._camera}] if self._images_bytes else []
        categories = [{"id": _category(n), "name": name} for n, name in sorted(self._names.items())]
        self.append(f"],\n{compact({'videos': videos, 'categories': categories})[1:]}\n")
        return super().finish(missing)

    def close(self) -> None:
        """As `PartFile.close`."""
        self._images.close()
        super().close()


def _item(before: int, text: str) -> str:
    """The text as the next item of a list that has something `before` it."""
    return f",\n{text}" if before else text


def _image_id(message: Message) -> int:
    """Unique in the camera's row, and the frame's number in a MOT file."""
    return message.frame + 1


def _category(label: int) -> int:
    """COCO's categories count from 1."""
    return label + 1


def _image(message: Message) -> dict[str, Any]:
    return {
        "id": _image_id(message),
        "video_id": _VIDEO_ID,
        "frame_index": message.frame,
        "file_name": f"{message.camera}/{message.frame:06d}.jpg",
        "width": message.width,
        "height": message.height,
        "pts_ns": message.pts_ns,
        "status": STATUSES[message.status],
        "reason": message.reason,
    }


def _annotation_texts(message: Message, first: int) -> Iterator[str]:
    """The tracks' boxes, numbered from `first`; left, top, width, height in pixels from 0."""
    tracks = message.tracks
    boxes_xywh = tracks.boxes_xyxy.astype(np.float64)
    boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
    columns = (
        *(tracks.ids.tolist(), tracks.labels.tolist(), rounded(tracks.scores, SCORE)),
        *(rounded(boxes_xywh, BOX), rounded(boxes_xywh[:, 2] * boxes_xywh[:, 3], BOX)),
        attribute_texts(tracks),
    )
    image = _image_id(message)
    for number, (track, label, score, (x, y, width, height), area, known) in enumerate(
        zip(*columns, strict=True), first
    ):
        attributes = f',"attributes":{known}' if known else ""
        yield (
            f'{{"id":{number},"image_id":{image},"video_id":{_VIDEO_ID},"track_id":{track},'
            f'"category_id":{_category(label)},"bbox":[{x},{y},{width},{height}],"area":{area},'
            f'"iscrowd":0,"score":{score}{attributes}}}'
        )
