"""How often the intervals of `sightline eval --against` hold the true difference, as Markdown.

`python -m benchmarks.bootstrap_coverage [--trials N]`. Two trackers that err in the same way by
chance are compared on simulated scenes: the true difference is 0, and a 95 % interval should hold
it in 95 % of the trials.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import compare_sequences
from pipeline.evaluation.evaluate import Rules, prepare
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.evaluation.sequence import Sequence

FPS = 10
SCORES = ("HOTA", "DetA", "AssA", "MOTA", "IDF1")
RULES = Rules()


@dataclass(frozen=True)
class Scene:
    """What is compared in one trial.

    Attributes:
        name: for the table.
        sequences: how many.
        frames: of each.
        life: of an object on average, in frames.
        swaps: in each frame, how often tracks of two objects swap.
        pairs: how many swap at once.
    """

    name: str
    sequences: int = 2
    frames: int = 400
    life: float = 80
    swaps: float = 0.0
    pairs: int = 1


SCENES = (
    Scene("each object's errors by itself"),
    Scene("now and then two objects swap tracks", swaps=0.01),
    Scene("now and then all in view swap", swaps=0.01, pairs=10),
    Scene("few objects, and frequent swaps", life=200, swaps=0.03),
    Scene("twelve sequences, now and then all swap", 12, 200, swaps=0.01, pairs=10),
)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    trials: int = parser.parse_args().trials
    print(f"| scene | drawn | {' | '.join(SCORES)} |\n|{'---|' * (len(SCORES) + 2)}")
    for scene in SCENES:
        rng = np.random.default_rng(1)
        held, drawn = zip(*(_trial(scene, rng) for _ in range(trials)), strict=True)
        shares = " | ".join(f"{share:.0%}" for share in np.mean(held, axis=0))
        units = {unit for _, unit in drawn}
        number = np.mean([number for number, _ in drawn])
        print(f"| {scene.name} | {number:.0f} {' or '.join(units)} | {shares} |", flush=True)


def _trial(scene: Scene, rng: np.random.Generator) -> tuple[list[bool], tuple[int, str]]:
    """Whether the interval of each score holds 0, and what was drawn."""
    sequences = [_sequence(scene, rng) for _ in range(scene.sequences)]
    found = compare_sequences(sequences, RULES)
    held = []
    for name in SCORES:
        low, high = found.differences[name].low, found.differences[name].high
        held.append(low is not None and high is not None and low <= 0 <= high)
    return held, (found.units, found.unit)


def _sequence(scene: Scene, rng: np.random.Generator) -> tuple[Sequence, Sequence, float]:
    gt, hardness = _world(scene, rng)
    one, other = (prepare(gt, _tracked(gt, hardness, scene, rng), RULES) for _ in range(2))
    return one, other, FPS


def _world(scene: Scene, rng: np.random.Generator) -> tuple[MotTable, NDArray[np.float64]]:
    """About five walkers at a time, and how hard each is to follow, 0 to 1."""
    early = int(4 * scene.life)
    rows: list[tuple[float, ...]] = []
    walkers = rng.poisson(5 * (scene.frames + early) / scene.life)
    for number in range(1, walkers + 1):
        born = int(rng.integers(-early, scene.frames))
        gone = born + 10 + int(rng.exponential(scene.life))
        place, pace = rng.uniform(0, 600, 2), rng.normal(0, 2, 2)
        rows += [
            (frame, number, *(place + pace * (frame - born)), 30, 60, 1, 1)
            for frame in range(max(1, born), min(scene.frames, gone))
        ]
    return table_from_rows(rows), rng.beta(1, 3, walkers + 1)


def _tracked(
    gt: MotTable, hardness: NDArray[np.float64], scene: Scene, rng: np.random.Generator
) -> MotTable:
    """The walkers with gaps, new identities and swaps, and false tracks."""
    fresh = count(1)
    track: dict[int, int] = {}
    seen: dict[int, bool] = {}
    rows: list[tuple[float, ...]] = []
    for frame in range(1, scene.frames):
        here = np.flatnonzero(gt.frames == frame)
        if rng.random() < scene.swaps:
            _swap(track, rng.permutation(gt.ids[here]).tolist(), scene.pairs)
        for row in here:
            number = int(gt.ids[row])
            hard = hardness[number]
            seen[number] = rng.random() < (1 - 0.3 * hard if seen.get(number, True) else 0.25)
            if number not in track or rng.random() < 0.04 * hard:
                track[number] = next(fresh)
            if seen[number]:
                shift = rng.normal(0, [2, 3, 0, 0])
                rows.append((frame, track[number], *(gt.boxes_xywh[row] + shift), 1, 1))
    return table_from_rows(rows + _false_tracks(scene, rng))


def _swap(track: dict[int, int], numbers: list[int], pairs: int) -> None:
    known = [number for number in numbers if number in track]
    for a, b in list(zip(known[::2], known[1::2], strict=False))[:pairs]:
        track[a], track[b] = track[b], track[a]


def _false_tracks(scene: Scene, rng: np.random.Generator) -> list[tuple[float, ...]]:
    rows: list[tuple[float, ...]] = []
    for number in range(rng.poisson(scene.frames / 100)):
        start, place = int(rng.integers(1, scene.frames)), rng.uniform(0, 600, 2)
        end = min(scene.frames, start + 3 + int(rng.exponential(20)))
        rows += [(frame, 10**6 + number, *place, 30, 60, 1, 1) for frame in range(start, end)]
    return rows


if __name__ == "__main__":
    main()
