"""Writes a clip of the rendered world with its ground truth in MOTChallenge format.

`python -m training.render --scene day --seed 11 --seconds 8 -o sample_videos/day.mp4` also writes
sample_videos/day/gt/gt.txt, seqinfo.ini and labels.txt. The same command gives the same files.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipeline.world import LABELS, SCENES, World, WorldFrame

# Without macroblock-tree rate control, whose outcome differs from run to run at some sizes.
_X264 = {
    "crf": "24",
    "preset": "slow",
    "threads": "1",
    "bf": "2",
    "g": "50",
    "x264-params": "mbtree=0",
}


def truth_lines(frames: Iterable[WorldFrame]) -> Iterator[str]:
    """Yields the lines of gt.txt: frame, id, left, top, width, height, conf, class, visibility.

    Frames, classes and the picture's top left pixel count from 1. `conf` is 0 for objects that
    scorers are to ignore: hardly visible or very small ones.
    """
    for frame in frames:
        columns = frame.ids, frame.boxes_xyxy, frame.labels, frame.visibility, frame.scored
        for track_id, (x0, y0, x1, y1), label, visibility, scored in zip(*columns, strict=True):
            yield (
                f"{frame.index + 1},{track_id},{x0 + 1:g},{y0 + 1:g},{x1 - x0:g},{y1 - y0:g},"
                f"{int(scored)},{label + 1},{visibility:.3f}"
            )


def write_clip(world: World, frames: int, path: Path) -> None:
    """Encodes frames 0..frames-1 as H.264 (High, yuv420p) and writes the ground truth beside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        container.flags = container.flags | int(av.container.Flags.bitexact.value)
        rate = Fraction(world.fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=_X264)
        stream.width, stream.height, stream.pix_fmt = world.width, world.height, "yuv420p"
        for index in range(frames):
            frame = world.render(index)
            lines += truth_lines([frame])
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.image_bgr), "bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    _write_truth(world, frames, path, lines)


def _write_truth(world: World, frames: int, path: Path, lines: list[str]) -> None:
    folder = path.with_suffix("")
    (folder / "gt").mkdir(parents=True, exist_ok=True)
    (folder / "gt" / "gt.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="ascii")
    (folder / "seqinfo.ini").write_text(
        "[Sequence]\n"
        f"name={path.stem}\nimDir=../{path.name}\nframeRate={world.fps:g}\nseqLength={frames}\n"
        f"imWidth={world.width}\nimHeight={world.height}\nimExt=.mp4\n",
        encoding="ascii",
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", choices=SCENES, default="day")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--size", default="640x360", help="WIDTHxHEIGHT")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    width, height = (int(part) for part in arguments.size.split("x"))
    world = World(arguments.scene, arguments.seed, width, height, arguments.fps)
    write_clip(world, round(arguments.seconds * arguments.fps), arguments.output)


if __name__ == "__main__":
    main()
