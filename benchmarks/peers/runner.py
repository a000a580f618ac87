"""The child's side: `python -m benchmarks.peers.runner LIBRARY` answers on stdout.

One JSON object a line, a request on stdin and its answer on stdout:

    {"do": "list"}                                        {"NAME": "why it cannot run, or empty"}
    {"do": "time", "tracker": NAME, "scene": PATH}        {"us": processor µs a frame}
    {"do": "track", "tracker": NAME, "scene": PATH, "to": PATH}                     {}

The scene is a file of `Scene`; tracks are written as an array (M, 6) ``.npy``: index of the frame,
identity, box_xyxy. A request that fails is answered with {"error": TEXT}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.peers.scene import Scene
from benchmarks.peers.subject import Subject

#: From the frames per second of a recording to a tracker for one pass over it.
Trackers = Mapping[str, Callable[[float], Subject]]


def main() -> None:
    """Serves requests until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    serve(import_module(f"benchmarks.peers.libraries.{sys.argv[1]}").TRACKERS, sys.stdin, answers)


def serve(trackers: Trackers, requests: TextIO, answers: TextIO) -> None:
    """Answers every line of `requests`."""
    for line in requests:
        try:
            answer = _answer(trackers, **json.loads(line))
        except Exception as error:  # whatever a library raises, the next request may succeed
            answer = {"error": _said(error)}
        print(json.dumps(answer), file=answers, flush=True)


def _answer(
    trackers: Trackers, do: str, tracker: str = "", scene: str = "", to: str = ""
) -> dict[str, Any]:
    if do == "list":
        return {name: _problem(make) for name, make in trackers.items()}
    frames = _scene(scene)
    subject = trackers[tracker](frames.fps)
    if do == "time":
        return {"us": _frame_us(subject, frames)}
    np.save(to, _tracks(subject, frames))
    return {}


@lru_cache(maxsize=4)
def _scene(path: str) -> Scene:
    return Scene.load(Path(path))


def _problem(make: Callable[[float], Subject]) -> str:
    """Why the tracker cannot be made; empty where it can."""
    try:
        make(25.0)
    except Exception as error:
        return _said(error)
    return ""


def _frame_us(subject: Subject, scene: Scene) -> float:
    """Processor time of an update after the first, all threads of this process included."""
    frames = [(index, subject.prepared(boxes, scores)) for index, boxes, scores in scene]
    subject.update(frames[0][1], frames[0][0])
    started_s = time.process_time()
    for index, frame in frames[1:]:
        subject.update(frame, index)
    return (time.process_time() - started_s) / (len(frames) - 1) * 1e6


def _tracks(subject: Subject, scene: Scene) -> np.ndarray:
    """(M, 6) float64: index of the frame, identity, box_xyxy."""
    rows = [np.empty((0, 6))]
    for index, boxes, scores in scene:
        ids, found = subject.tracks(subject.update(subject.prepared(boxes, scores), index))
        rows.append(np.column_stack([np.full(len(ids), index), ids, found]))
    return np.concatenate(rows)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
