"""Messages in a file, by format."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline.output import jsonmessage
from pipeline.output.coco import CocoFile
from pipeline.output.files import TextFile
from pipeline.output.jsonmessage import STATES, STATUSES, attribute_texts, rows
from pipeline.output.message import Message
from pipeline.output.recorder import Recording
from pipeline.output.spec import FileFormat

#: Lines, each with its newline, of one message with the class names by label index.
Lines = Callable[[Message, Sequence[str]], str]

CSV_COLUMNS = (
    *("camera", "epoch", "frame", "pts_ns", "status", "reason", "engine"),
    *("id", "label", "class", "state", "score", "x1", "y1", "x2", "y2"),
    *("vx", "vy", "age_s", "unseen_s", "attributes"),
)


def jsonl_lines(message: Message, labels: Sequence[str]) -> str:
    """One JSON object, see `jsonmessage`."""
    return jsonmessage.encode_line(message, labels) + "\n"


def csv_lines(message: Message, labels: Sequence[str]) -> str:
    """A row a track, in `CSV_COLUMNS`; a frame without tracks has one row that ends after engine.

    Attributes are a JSON object as in `jsonmessage`, or nothing where none is known.

    So a frame in which nothing was found, a frame that was blind and a frame that never came can
    be told apart.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    frame = (
        *(message.camera, message.epoch, message.frame, message.pts_ns),
        *(STATUSES[message.status], message.reason, message.engine),
    )
    tracks = message.tracks
    if not len(tracks):
        writer.writerow((*frame, *[""] * (len(CSV_COLUMNS) - len(frame))))
    for (track, label, state, score, box, velocity, age, unseen), own in zip(
        rows(tracks), attribute_texts(tracks), strict=True
    ):
        name = labels[label] if label < len(labels) else ""
        writer.writerow(
            (*frame, track, label, name, STATES[state], score, *box, *velocity, age, unseen, own)
        )
    return text.getvalue()


def mot_lines(message: Message, labels: Sequence[str]) -> str:
    """``frame,id,left,top,width,height,score,-1,-1,-1`` a track, as MOTChallenge has it.

    Frames and pixels count from 1 there (https://motchallenge.net/instructions/): `frame` is the
    frame's index + 1, left and top are ours + 1. Boxes have 2 decimals, scores 4. The format knows
    neither status nor class.
    """
    tracks = message.tracks
    boxes_xywh = tracks.boxes_xyxy.astype(np.float64)
    boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
    boxes_xywh[:, :2] += 1
    return "".join(
        f"{message.frame + 1},{track},{left:.2f},{top:.2f},{width:.2f},{height:.2f},{score:.4f},"
        "-1,-1,-1\n"
        for track, (left, top, width, height), score in zip(
            tracks.ids.tolist(), boxes_xywh.tolist(), tracks.scores.tolist(), strict=True
        )
    )


LINES: dict[FileFormat, Lines] = {"jsonl": jsonl_lines, "csv": csv_lines, "mot": mot_lines}
HEADERS: dict[FileFormat, str] = {"jsonl": "", "csv": ",".join(CSV_COLUMNS) + "\n", "mot": ""}
#: Whose lines name the camera, so that one file may hold several.
SHARED: tuple[FileFormat, ...] = ("jsonl", "csv")


class MessageFile(TextFile):
    """Messages as lines that mean something each on its own.

    Args:
        path: as `PartFile`.
        form: of `LINES`.
        labels: class names by label index.

    Raises:
        OutputError: as `PartFile`.
    """

    def __init__(self, path: Path, form: FileFormat, labels: Sequence[str]) -> None:
        super().__init__(path, HEADERS[form])
        self._lines = LINES[form]
        self._labels = labels

    def write(self, message: Message) -> None:
        """Appends a frame; as `TextFile.append`."""
        self.append(self._lines(message, self._labels))


def message_file(path: Path, form: FileFormat, labels: Sequence[str]) -> Recording[Message]:
    """The file of a format, not finished; as `MessageFile`."""
    return CocoFile(path, labels) if form == "coco" else MessageFile(path, form, labels)
