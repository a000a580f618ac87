"""How good trackers are, ours and others, on the same detections: docs/tracking_results.md.

`python -m benchmarks.tracking_accuracy [--peers FOLDER] [--seeds N] [TABLE ...]` runs every tracker
over the sequences of MOTChallenge among the assets, boxes only and online, and rewrites the tables
there. Nothing in them depends on the machine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

from benchmarks.__main__ import ASSETS, HERE, PEERS
from benchmarks.peers.environments import missing, title
from benchmarks.peers.process import Peer, running
from benchmarks.peers.scene import Scene
from benchmarks.recordings import Recording, as_tracks, recordings
from benchmarks.results import rewrite
from pipeline.evaluation.evaluate import Scores, combine
from pipeline.evaluation.mot_files import MotTable, read_mot
from pipeline.evaluation.preprocess import Benchmark

PAGE = HERE.parent / "docs" / "tracking_results.md"
#: Shares of the frames that are dropped.
DROPPED = (0.1, 0.3, 0.5, 0.7)
#: They give what the tracker gives that they are another implementation of.
_SAME = ("filterpy", "ByteTrack (C++)", "OC-SORT (C++)", "BoT-SORT (C++)")
_SHOWN = ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW")

#: A tracker as the tables call it, the share of frames that are dropped, and the choice of them.
Drop = tuple[str, float, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Attributes:
        peers: folder of the installed libraries; None where there is none.
        trackers: by library and name.
        seeds: choices of the frames that are dropped.
    """

    peers: Path | None
    trackers: Sequence[tuple[str, str]]
    seeds: int

    def without(self, option: str) -> Plan:
        """The plan without trackers that have this option."""
        kept = [(library, name) for library, name in self.trackers if not name.endswith(option)]
        return Plan(self.peers, kept, self.seeds)

    def results(self, peers: Mapping[str, Peer], scene: Scene) -> Iterator[tuple[str, MotTable]]:
        """What every tracker makes of a scene, by its title."""
        with tempfile.TemporaryDirectory(prefix="sightline-scene-") as folder:
            path = Path(folder) / "scene.npz"
            scene.save(path)
            for library, tracker in self.trackers:
                yield title(library, tracker), as_tracks(peers[library].tracks(tracker, path))


def accuracy(assets: Path, plan: Plan) -> str:
    """Scores on all frames."""
    sets = {
        "MOT15": recordings(assets, Benchmark.MOT15),
        "MOT15, scores stretched to 0..1": recordings(assets, Benchmark.MOT15, stretched=True),
        "MOT17, FRCNN's detections": recordings(assets, Benchmark.MOT17),
    }
    plan = plan.without(", timed")
    return "\n\n".join(_accuracy(name, found, plan) for name, found in sets.items())


def _accuracy(name: str, found: Sequence[Recording], plan: Plan) -> str:
    with _pool() as pool:
        parts = list(pool.map(partial(_whole, plan), found))
    scores = {label: combine([part[label] for part in parts]).summary() for label in parts[0]}
    lines = [
        f"| {name}, {len(found)} sequences | {' | '.join(_SHOWN)} |",
        "|---|" + "---:|" * len(_SHOWN),
    ]
    for label in best_first({label: summary["HOTA"] for label, summary in scores.items()}):
        values = [scores[label][score] for score in _SHOWN]
        cells = [f"{value:.1f}" if isinstance(value, float) else str(value) for value in values]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _whole(plan: Plan, recording: Recording) -> dict[str, Scores]:
    """Every tracker's scores on all frames."""
    with running(plan.peers) as peers:
        results = dict(plan.results(peers, recording.scene))
    results["classic sort.py, recorded"] = read_mot(recording.folder / "ref/sort_2236dff.txt")
    results["perfect identities, no false positives"] = recording.perfect()
    return {label: recording.scores(result) for label, result in results.items()}


def best_first(hota: Mapping[str, float]) -> list[str]:
    """Trackers by falling HOTA; of one with and without the frame rate only the better."""
    ranked = sorted(hota, key=lambda label: -hota[label])
    better = {label.removesuffix(", fps"): label for label in reversed(ranked)}
    return [label for label in ranked if label in better.values()]


def drops(assets: Path, plan: Plan) -> str:
    """The loss of IDF1 with frames dropped at random, scored on the frames that were kept."""
    names = (Benchmark.MOT15, Benchmark.MOT17)
    plan = plan.without(", fps")
    return "\n\n".join(_drops(name, recordings(assets, name), plan) for name in names)


def _drops(name: str, found: Sequence[Recording], plan: Plan) -> str:
    with _pool() as pool:
        parts = list(pool.map(partial(_thinned, plan), found))
    idf1 = {drop: _idf1([part[drop] for part in parts]) for drop in parts[0]}
    lines = [_losses(title(*tracker), idf1, plan.seeds) for tracker in plan.trackers]
    heads = " | ".join(f"{share:.0%} dropped" for share in DROPPED)
    head = f"| {name}: loss of IDF1 (IDF1 left) | {heads} |\n|---|" + "---:|" * len(DROPPED)
    return "\n".join([head, *(line for _, line in sorted(lines))])


def _thinned(plan: Plan, recording: Recording) -> dict[Drop, tuple[Scores, Scores]]:
    """Every tracker's scores on the frames that were kept, of all frames and of those alone."""
    found = {}
    with running(plan.peers) as peers:
        whole = dict(plan.results(peers, recording.scene))
        for share, seed, kept in _kept(len(recording.scene.indices), plan.seeds):
            for label, result in plan.results(peers, recording.scene.kept(kept)):
                before, after = (recording.scores(each, kept) for each in (whole[label], result))
                found[label, share, seed] = before, after
    return found


def _kept(frames: int, seeds: int) -> Iterator[tuple[float, int, NDArray[np.bool_]]]:
    """Share dropped, seed and the frames that are kept (F,), the same for every tracker."""
    for share in DROPPED:
        for seed in range(seeds):
            yield share, seed, np.random.default_rng((seed, frames)).random(frames) >= share


def _idf1(pairs: Sequence[tuple[Scores, Scores]]) -> tuple[float, float]:
    """IDF1 over all sequences, in percent: of all frames, and of those that were kept."""
    before, after = (100 * combine(side).identity.idf1 for side in zip(*pairs, strict=True))
    return before, after


def _losses(label: str, idf1: Mapping[Drop, tuple[float, float]], seeds: int) -> tuple[float, str]:
    """The mean loss, and the line of the table: mean over the seeds, ± their deviation."""
    cells, means = [], []
    for share in DROPPED:
        pairs = [idf1[label, share, seed] for seed in range(seeds)]
        losses = [before - after for before, after in pairs]
        spread = f" ±{stdev(losses):.1f}" if seeds > 1 else ""
        means.append(mean(losses))
        cells.append(f"{means[-1]:.1f}{spread} ({mean(after for _, after in pairs):.1f})")
    return mean(means), f"| {label} | {' | '.join(cells)} |"


def _pool() -> ProcessPoolExecutor:
    """A process a core: each has libraries of its own, and no result depends on it."""
    return ProcessPoolExecutor(len(os.sched_getaffinity(0)))


def _runnable(peers: Path | None) -> list[tuple[str, str]]:
    """The trackers that can run here, ours first; says which cannot."""
    found = []
    with running(peers) as open_peers:
        for library, peer in open_peers.items():
            for tracker, problem in peer.trackers().items():
                if problem:
                    print(f"{title(library, tracker)} is not measured: {problem}")
                elif tracker not in _SAME:
                    found.append((library, tracker))
    return found


#: By the name that the command line takes.
TABLES = {"accuracy": accuracy, "drops": drops}


def main() -> None:
    """Runs everything, and rewrites the tables between their marks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking_accuracy")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TABLES)}; both if none is given")
    parser.add_argument("--peers", type=Path, default=PEERS, help="folder of installed peers")
    parser.add_argument("--seeds", type=int, default=3, help="choices of dropped frames (3)")
    arguments = parser.parse_args()
    names = arguments.names or list(TABLES)
    if unknown := [name for name in names if name not in TABLES]:
        parser.error(f"there is no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    if not ASSETS.is_dir():
        parser.error(f"no real detections at {ASSETS} (set SIGHTLINE_ASSETS)")
    if absent := missing(arguments.peers):
        print(absent)
    plan = Plan(arguments.peers, _runnable(arguments.peers), arguments.seeds)
    for name in names:
        text = TABLES[name](ASSETS.resolve(), plan)
        print(text)
        rewrite(PAGE, f"tracking {name}", text)


if __name__ == "__main__":
    main()
