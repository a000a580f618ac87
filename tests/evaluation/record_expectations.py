"""Remakes `expectations.json` and `cases/` with the reference implementations.

Not a test: it needs an environment of its own with ``pip install trackeval==1.3.0`` (which brings
pycocotools), because that pulls in a second OpenCV. Run from the repository:

    python tests/evaluation/record_expectations.py ../shared/assets
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from trackeval.datasets import MotChallenge2DBox
from trackeval.metrics import CLEAR, HOTA, Identity

HERE = Path(__file__).parent
REAL = ("TUD-Stadtmitte", "TUD-Campus", "PETS09-S2L1")
TRACKERS = [  # benchmark, result file beside the ground truth, sequences (None: all)
    ("MOT15", "ref/sort_2236dff.txt", None),
    ("MOT15", "ref/e2e_yolox_nano_sort.txt", REAL),
    ("MOT15", "ref/e2e_d2go320_fp32_sort.txt", REAL),
    ("MOT15", "ref/test.txt", REAL[:2]),
    ("MOT17", "ref/sort_2236dff.txt", None),
    ("MOT17", "ref/Lif_T.txt", None),
]
DETECTIONS = [("MOT15", f"ref/det_{name}.txt", REAL) for name in ("yolox_nano", "d2go320_fp32")]


def main(assets: Path) -> None:
    cases = make_cases(HERE / "cases")
    entries = [
        entry("tracks", "cases", benchmark, "result.txt", cases, HERE / "cases")
        for benchmark in ("MOT15", "MOT17", "MOT20")
    ]
    entries += [entry("detections", "cases", "MOT15", "result.txt", cases, HERE / "cases")]
    for kind, table in (("tracks", TRACKERS), ("detections", DETECTIONS)):
        for benchmark, result, chosen in table:
            root = assets / "tracking" / benchmark
            names = chosen or sorted(path.name for path in root.iterdir())
            entries.append(entry(kind, "assets", benchmark, result, names, root))
    text = json.dumps(entries, indent=1, sort_keys=True) + "\n"
    (HERE / "expectations.json").write_text(text)


def entry(
    kind: str, where: str, benchmark: str, result: str, names: Any, root: Path
) -> dict[str, Any]:
    score = tracking_scores if kind == "tracks" else detection_scores
    with contextlib.redirect_stdout(io.StringIO()):
        scores = score(root, benchmark, result, list(names))
    head = {"kind": kind, "where": where, "benchmark": benchmark, "result": result}
    return head | {"scores": scores}


def tracking_scores(
    root: Path, benchmark: str, result: str, names: list[str]
) -> dict[str, dict[str, float]]:
    """TrackEval's scores of every sequence and of all together."""
    metrics = [HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            target = Path(folder) / "tracker" / "data" / f"{name}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name / result, target)
        dataset = MotChallenge2DBox(
            {
                "GT_FOLDER": str(root),
                "TRACKERS_FOLDER": folder,
                "SEQ_INFO": dict.fromkeys(names),
                "BENCHMARK": benchmark,
                "SKIP_SPLIT_FOL": True,
                "PRINT_CONFIG": False,
            }
        )
        data = {
            name: dataset.get_preprocessed_seq_data(
                dataset.get_raw_seq_data("tracker", name), "pedestrian"
            )
            for name in names
        }
    scores: dict[str, dict[str, float]] = {name: {} for name in [*names, "COMBINED"]}
    for metric in metrics:
        results = {name: metric.eval_sequence(data[name]) for name in names}
        results["COMBINED"] = metric.combine_sequences(dict(results))
        for name, values in results.items():
            scores[name].update(plain(values))
    return scores


def plain(values: dict[str, Any]) -> dict[str, float]:
    """The scores that are compared, averaged over the thresholds where there are several."""
    ours = {"CLR_TP": "TP", "CLR_FP": "FP", "CLR_FN": "FN", "CLR_Re": "Recall"}
    ours |= {"CLR_Pr": "Precision"}
    ours |= {n: n for n in ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA")}
    ours |= {n: n for n in ("MOTA", "MOTP", "IDSW", "Frag", "MT", "PT", "ML")}
    ours |= {n: n for n in ("IDF1", "IDP", "IDR")}
    return {ours[n]: float(np.mean(value)) for n, value in values.items() if n in ours}


def detection_scores(
    root: Path, benchmark: str, result: str, names: list[str]
) -> dict[str, dict[str, float]]:
    """pycocotools' AP at overlap 0.5, without its limit of 100 detections a picture."""
    scores = {}
    for name in names:
        gt = np.loadtxt(root / name / "gt" / "gt.txt", delimiter=",")
        found = np.loadtxt(root / name / result, delimiter=",", ndmin=2)
        coco = COCO()
        coco.dataset = {
            "images": [{"id": int(frame)} for frame in np.union1d(gt[:, 0], found[:, 0])],
            "categories": [{"id": 1}],
            "annotations": [
                {
                    "id": number,
                    "image_id": int(row[0]),
                    "category_id": 1,
                    "bbox": row[2:6].tolist(),
                    "area": float(row[4] * row[5]),
                    "iscrowd": int(row[6] == 0),
                }
                for number, row in enumerate(gt, 1)
            ],
        }
        coco.createIndex()
        rows = np.column_stack([found[:, 0], found[:, 2:7], np.ones(len(found))])
        judge = COCOeval(coco, coco.loadRes(rows), "bbox")
        judge.params.iouThrs = np.array([0.5])
        judge.params.maxDets = [1000]
        judge.params.areaRng = [[0, 1e10]]
        judge.params.areaRngLbl = ["all"]
        judge.evaluate()
        judge.accumulate()
        scores[name] = {"AP50": float(judge.eval["precision"].mean())}
    return scores


def make_cases(folder: Path) -> list[str]:
    """Small sequences with everything that can go wrong, drawn from fixed seeds."""
    shutil.rmtree(folder, ignore_errors=True)
    names = []
    for seed, (objects, frames, chaos) in enumerate(
        [(3, 20, 0.05), (6, 30, 0.15), (10, 25, 0.3), (2, 40, 0.5), (14, 12, 0.2)]
    ):
        names.append(f"case-{seed}")
        write_case(folder / names[-1], np.random.default_rng(seed), objects, frames, chaos)
    return names


def write_case(
    folder: Path, rng: np.random.Generator, objects: int, frames: int, chaos: float
) -> None:
    """Walkers with gaps and distractors; a result that misses, invents and swaps identities."""
    (folder / "gt").mkdir(parents=True)
    info = f"[Sequence]\nname={folder.name}\nframeRate=10\nseqLength={frames}\n"
    (folder / "seqinfo.ini").write_text(info)
    box = np.column_stack([rng.uniform(0, 200, (objects, 2)), rng.uniform(20, 60, (objects, 2))])
    speed = rng.normal(0, 3, (objects, 2))
    kind = rng.choice([1, 1, 1, 1, 6, 7, 8, 12], objects)
    name = np.arange(1, objects + 1)
    gt, result = [], []
    for frame in range(1, frames + 1):
        box[:, :2] += speed
        if rng.random() < chaos:
            a, b = rng.choice(objects, 2, replace=False)
            name[a], name[b] = name[b], name[a]
        if rng.random() < chaos:
            name[rng.integers(objects)] = name.max() + 1
        for i in range(objects):
            x, y, w, h = box[i]
            if rng.random() > chaos / 3:
                flag = int(rng.random() > chaos / 4)
                gt.append(f"{frame},{i + 1},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{flag},{kind[i]},1\n")
            if rng.random() > chaos:
                x, y, w, h = box[i] + rng.normal(0, 6 * chaos + 1, 4)
                score = rng.random()
                result.append(
                    f"{frame},{name[i]},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.3f},-1,-1,-1\n"
                )
        if rng.random() < chaos:
            x, y = rng.uniform(0, 200, 2)
            result.append(f"{frame},{900 + frame % 3},{x:.2f},{y:.2f},40,40,0.5,-1,-1,-1\n")
    (folder / "gt" / "gt.txt").write_text("".join(gt))
    (folder / "result.txt").write_text("".join(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
