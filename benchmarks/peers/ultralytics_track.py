"""Run by the interpreter of the peer: makes the network that all take, or tracks videos with it.

export TO SIZE                  writes an ONNX network with random weights
track WEIGHTS SIZE VIDEO...     one video after the other, results thrown away
"""

from __future__ import annotations

import shutil
import sys

from ultralytics import YOLO


def export(to: str, size: str) -> None:
    shutil.move(YOLO("yolov8n.yaml").export(format="onnx", imgsz=int(size)), to)


def track(weights: str, size: str, *videos: str) -> None:
    for video in videos:
        model = YOLO(weights, task="detect")
        for _ in model.track(video, imgsz=int(size), stream=True, verbose=False):
            pass


if __name__ == "__main__":
    {"export": export, "track": track}[sys.argv[1]](*sys.argv[2:])
