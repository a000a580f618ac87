"""Measures the network that names colours on clips of worlds that no training has seen.

`python -m training.evaluate_colours` prints how often one look is right, and how often the name of
a track is after its looks have voted, through ``configs/cascade.yaml``. Needs no torch.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pipeline
from pipeline.detection.boxes import iou_matrix
from pipeline.resources import shipped
from pipeline.world import LABELS, SCENES, World, WorldFrame
from training.coloured import VEHICLES, clear, cut_out
from training.colours import COLOURS, named
from training.evaluate import clip, open_model, time_model
from training.render import write_clip
from training.seeds import TEST

_FRAMES, _STEP = 200, 10
_SAME_IOU = 0.5


def per_look(model: Path, seeds: tuple[int, ...], frames: int, step: int) -> float:
    """Prints and returns how often a single crop of a vehicle is named right, 0..1."""
    session = open_model(model)
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for scene in SCENES:
        for frame in (frame for seed in seeds for frame in clip(scene, seed, frames, step)):
            rows = clear(frame)
            crops = cut_out(frame.image_bgr, frame.boxes_xyxy[rows]).transpose(0, 3, 1, 2)
            (logits,) = session.run(None, {"crops": crops.astype(np.float32)})
            hits = np.asarray(logits).argmax(axis=1) == named(frame.colours_bgr[rows])
            for label, hit in zip(frame.labels[rows].tolist(), hits.tolist(), strict=True):
                asked[LABELS[label]] += 1
                right[LABELS[label]] += hit
    share = right.total() / asked.total()
    kinds = ", ".join(f"{kind} {right[kind] / asked[kind]:.3f}" for kind in sorted(asked))
    print(f"one look: {share:.3f} of {asked.total()} right; {kinds}")
    return share


def per_track(seeds: tuple[int, ...], frames: int, step: int, overrides: list[str]) -> float:
    """Prints and returns how often a track's last name is its object's, 0..1.

    A track's colour is that of the vehicles it was over most often; one that was over none, as of
    a part of a vehicle, is left out.
    """
    right = asked = 0
    for scene in SCENES:
        for seed in seeds:
            found = _track_names(World(scene, seed), frames, step, overrides)
            right += sum(name == truth for name, truth in found)
            asked += len(found)
    print(f"a track: {right / asked:.3f} of {asked} right")
    return right / asked


def _track_names(
    world: World, frames: int, step: int, overrides: list[str]
) -> list[tuple[str, str]]:
    """The last name of each track of a vehicle, and the right one."""
    names: dict[int, str] = {}
    over: defaultdict[int, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(world, frames, path)
        camera = f"cameras=[{{id: street, uri: 'file:{path}'}}]"
        config = pipeline.load(
            shipped("configs") / "cascade.yaml", [camera, "outputs=[]", *overrides]
        )
        for packet in pipeline.stream(pipeline.build(config)):
            tracks = packet.payload.tracks
            values = tracks.attributes["colour"].values if tracks.attributes else ()
            names |= {t: str(v) for t, v in zip(tracks.ids.tolist(), values, strict=False) if v}
            if packet.frame.index % step == 0:
                truth = world.render(packet.frame.index)
                for track, box in zip(tracks.ids.tolist(), tracks.boxes_xyxy, strict=True):
                    over[track].update(_colours_at(truth, box))
    return [(names[track], over[track].most_common(1)[0][0]) for track in names if over[track]]


def _colours_at(frame: WorldFrame, box_xyxy: NDArray[np.float32]) -> list[str]:
    """The name of the colour of the vehicle at a box, if there is one."""
    rows = np.flatnonzero(np.isin(frame.labels, [LABELS.index(kind) for kind in VEHICLES]))
    overlap = iou_matrix(box_xyxy[None], frame.boxes_xyxy[rows])[0]
    here = rows[overlap >= _SAME_IOU]
    return [COLOURS[index] for index in named(frame.colours_bgr[here])]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/colour-pico"))
    parser.add_argument("--seeds", type=int, nargs="*", default=TEST)
    parser.add_argument("--frames", type=int, default=_FRAMES)
    parser.add_argument("--step", type=int, default=_STEP)
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], help="key=value")
    arguments = parser.parse_args()
    work = (tuple(arguments.seeds), arguments.frames, arguments.step)
    network = arguments.model / "colour-pico.onnx"
    per_look(network, *work)
    per_track(*work, [f"stages.classify.model={arguments.model}", *arguments.overrides])
    time_model(network)


if __name__ == "__main__":
    main()
