"""One file per head family; ``family`` in a model's manifest chooses."""

from typing import Annotated

from pydantic import Field

from pipeline.detection.heads.base import Head, OnnxHead
from pipeline.detection.heads.detr import DetrHead
from pipeline.detection.heads.fastestdet import FastestdetHead
from pipeline.detection.heads.nanodet import NanodetHead
from pipeline.detection.heads.plain import BoxesHead
from pipeline.detection.heads.ssd import SsdHead
from pipeline.detection.heads.yolov5 import Yolov5Head
from pipeline.detection.heads.yolov8 import Yolov8Head
from pipeline.detection.heads.yolox import YoloxHead

#: Any head, told apart by its family.
AnyHead = Annotated[
    BoxesHead
    | DetrHead
    | FastestdetHead
    | NanodetHead
    | SsdHead
    | Yolov5Head
    | Yolov8Head
    | YoloxHead,
    Field(discriminator="family"),
]

__all__ = [
    "AnyHead",
    "BoxesHead",
    "DetrHead",
    "FastestdetHead",
    "Head",
    "NanodetHead",
    "OnnxHead",
    "SsdHead",
    "Yolov5Head",
    "Yolov8Head",
    "YoloxHead",
]
