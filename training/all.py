"""Remakes everything that is shipped, from seeds: `python -m training.all --work runs`.

Clips, training data, both networks, both packages and the figures. Several hours on two CPU cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from training.seeds import SAMPLE_CLIPS

DETECTOR_STEPS, REID_STEPS = 5000, 2000


def commands(work: Path) -> list[list[str]]:
    """Returns the modules to run with their arguments, in order."""
    data, detector, reid = str(work / "data"), str(work / "detector.pt"), str(work / "reid.pt")
    return [
        *(_clip(scene, seed) for scene, seed in SAMPLE_CLIPS.items()),
        ["dataset", "-o", data],
        ["train_detector", "--data", data, "-o", detector, "--steps", str(DETECTOR_STEPS)],
        ["train_reid", "--data", data, "-o", reid, "--steps", str(REID_STEPS)],
        ["export", "detector", "--checkpoint", detector, "-o", "models/street-pico"],
        ["export", "reid", "--checkpoint", reid, "-o", "models/reid-pico"],
        ["evaluate"],
    ]


def _clip(scene: str, seed: int) -> list[str]:
    path = f"sample_videos/{scene}.mp4"
    return ["render", "--scene", scene, "--seed", str(seed), "--seconds", "10", "-o", path]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs"))
    arguments = parser.parse_args()
    for module, *rest in commands(arguments.work):
        subprocess.run([sys.executable, "-m", f"training.{module}", *rest], check=True)


if __name__ == "__main__":
    main()
