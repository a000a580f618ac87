"""How good trackers are, ours and others, on the same detections: docs/tracking_results.md.

`python -m benchmarks.tracking_accuracy [--peers FOLDER] [--seeds N] [TABLE ...]` runs every tracker
over the sequences of MOTChallenge among the assets, boxes only and online, and rewrites the tables
there. Nothing in them depends on the machine.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

from benchmarks.__main__ import ASSETS, HERE, PEERS
from benchmarks.peers.environments import missing
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

#: A tracker as the tables call it → its library's process and its name there.
Contenders = Mapping[str, tuple[Peer, str]]


def accuracy(assets: Path, contenders: Contenders, seeds: int) -> str:
    """Scores on all frames; `seeds` does not matter."""
    sets = {
        "MOT15": recordings(assets, Benchmark.MOT15),
        "MOT15, scores stretched to 0..1": recordings(assets, Benchmark.MOT15, stretched=True),
        "MOT17, FRCNN's detections": recordings(assets, Benchmark.MOT17),
    }
    untimed = {label: who for label, who in contenders.items() if not label.endswith(", timed")}
    return "\n\n".join(_accuracy(title, found, untimed) for title, found in sets.items())


def _accuracy(title: str, found: Sequence[Recording], contenders: Contenders) -> str:
    scores: dict[str, list[Scores]] = defaultdict(list)
    for recording in found:
        results = dict(_results(recording.scene, contenders))
        results["classic sort.py, recorded"] = read_mot(recording.folder / "ref/sort_2236dff.txt")
        results["perfect identities, no false positives"] = recording.perfect()
        for label, result in results.items():
            scores[label].append(recording.scores(result))
    summaries = {label: combine(parts).summary() for label, parts in scores.items()}
    ranked = best_first({label: summary["HOTA"] for label, summary in summaries.items()})
    lines = [
        f"| {title}, {len(found)} sequences | {' | '.join(_SHOWN)} |",
        "|---|" + "---:|" * len(_SHOWN),
    ]
    for label in ranked:
        values = [summaries[label][name] for name in _SHOWN]
        cells = [f"{value:.1f}" if isinstance(value, float) else str(value) for value in values]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def best_first(hota: Mapping[str, float]) -> list[str]:
    """Trackers by falling HOTA; of one with and without the frame rate only the better."""
    ranked = sorted(hota, key=lambda label: -hota[label])
    better = {label.removesuffix(", fps"): label for label in reversed(ranked)}
    return [label for label in ranked if label in better.values()]


def drops(assets: Path, contenders: Contenders, seeds: int) -> str:
    """The loss of IDF1 with frames dropped at random, scored on the frames that were kept."""
    names = (Benchmark.MOT15, Benchmark.MOT17)
    contenders = {label: who for label, who in contenders.items() if not label.endswith(", fps")}
    return "\n\n".join(_drops(name, recordings(assets, name), contenders, seeds) for name in names)


def _drops(title: str, found: Sequence[Recording], contenders: Contenders, seeds: int) -> str:
    # By tracker, share and seed: the scores of each sequence with all frames, and with those kept.
    parts: dict[tuple[str, float, int], list[tuple[Scores, Scores]]] = defaultdict(list)
    for recording in found:
        whole = dict(_results(recording.scene, contenders))
        for share, seed, kept in _kept(len(recording.scene.indices), seeds):
            for label, result in _results(recording.scene.kept(kept), contenders):
                before, after = recording.scores(whole[label], kept), recording.scores(result, kept)
                parts[label, share, seed].append((before, after))
    idf1 = {
        key: [100 * combine(side).identity.idf1 for side in zip(*pairs, strict=True)]
        for key, pairs in parts.items()
    }
    lines = {label: _losses(label, idf1, seeds) for label in contenders}
    ranked = sorted(lines.values(), key=lambda line: line[0])
    heads = " | ".join(f"{share:.0%} dropped" for share in DROPPED)
    head = f"| {title}: loss of IDF1 (IDF1 left) | {heads} |\n|---|" + "---:|" * len(DROPPED)
    return "\n".join([head, *(line for _, line in ranked)])


def _losses(
    label: str, idf1: Mapping[tuple[str, float, int], Sequence[float]], seeds: int
) -> tuple[float, str]:
    """The mean loss, and the line of the table: mean over the seeds, ± their deviation."""
    cells, means = [], []
    for share in DROPPED:
        pairs = [idf1[label, share, seed] for seed in range(seeds)]
        losses = [before - after for before, after in pairs]
        spread = f" ±{stdev(losses):.1f}" if seeds > 1 else ""
        means.append(mean(losses))
        cells.append(f"{means[-1]:.1f}{spread} ({mean(after for _, after in pairs):.1f})")
    return mean(means), f"| {label} | {' | '.join(cells)} |"


def _kept(frames: int, seeds: int) -> Iterator[tuple[float, int, NDArray[np.bool_]]]:
    """Share dropped, seed and the frames that are kept (F,), the same for every tracker."""
    for share in DROPPED:
        for seed in range(seeds):
            yield share, seed, np.random.default_rng(seed).random(frames) >= share


def _results(scene: Scene, contenders: Contenders) -> Iterator[tuple[str, MotTable]]:
    """What every contender makes of a scene."""
    with tempfile.TemporaryDirectory(prefix="sightline-scene-") as folder:
        path = Path(folder) / "scene.npz"
        scene.save(path)
        for label, (peer, tracker) in contenders.items():
            yield label, as_tracks(peer.tracks(tracker, path))


def contenders_of(peers: Mapping[str, Peer]) -> Contenders:
    """The trackers that can run here, ours first; says which cannot."""
    found = {}
    for library, peer in peers.items():
        for tracker, problem in peer.trackers().items():
            label = f"{library} {tracker}" if library != "sightline" else f"**{tracker}** (ours)"
            if problem:
                print(f"{label} cannot run: {problem}")
            elif tracker not in _SAME:
                found[label] = (peer, tracker)
    return found


#: By the name that the command line takes.
TABLES = {"accuracy": accuracy, "drops": drops}


def main() -> None:
    """Runs everything, and rewrites the tables between their marks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking_accuracy")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TABLES)}; both if none is given")
    parser.add_argument("--peers", type=Path, default=PEERS, help="folder of installed peers")
    parser.add_argument("--seeds", type=int, default=5, help="choices of dropped frames (5)")
    arguments = parser.parse_args()
    names = arguments.names or list(TABLES)
    if unknown := [name for name in names if name not in TABLES]:
        parser.error(f"there is no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    if not ASSETS.is_dir():
        parser.error(f"no real detections at {ASSETS} (set SIGHTLINE_ASSETS)")
    print(missing(arguments.peers))
    with running(arguments.peers) as peers:
        contenders = contenders_of(peers)
        for name in names:
            text = TABLES[name](ASSETS.resolve(), contenders, arguments.seeds)
            print(text)
            rewrite(PAGE, f"tracking {name}", text)


if __name__ == "__main__":
    main()
