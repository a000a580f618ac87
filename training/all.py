"""Remakes everything that is shipped, from seeds: `python -m training.all --work runs`.

Clips, training data, networks, packages and the figures. Several hours on two CPU cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from training.seeds import SAMPLE_CLIPS

STEPS = {"detector": 5000, "two_stage": 6000, "reid": 2000, "attribute": 3000}
"""Of each training."""


def commands(work: Path) -> list[list[str]]:
    """Returns the modules to run with their arguments, in order."""
    return [
        *(_clip(scene, seed) for scene, seed in SAMPLE_CLIPS.items()),
        ["dataset", "-o", str(work / "data")],
        _trained("detector", work),
        _exported("detector", work / "detector.pt", "street-pico"),
        _trained("two_stage", work),  # starts from the features just exported
        _exported("rpn", work / "two_stage.pt", "street-duo-rpn"),
        _exported("head", work / "two_stage.pt", "street-duo-head"),
        ["compiled", "--work", str(work)],
        _trained("reid", work),
        _exported("reid", work / "reid.pt", "reid-pico"),
        _trained("attribute", work),
        _exported("attribute", work / "attribute.pt", "colour-pico"),
        ["evaluate"],
        ["evaluate_colours"],
    ]


def _trained(name: str, work: Path) -> list[str]:
    files = ["--data", str(work / "data"), "-o", str(work / f"{name}.pt")]
    return [f"train_{name}", *files, "--steps", str(STEPS[name])]


def _exported(network: str, checkpoint: Path, package: str) -> list[str]:
    return ["export", network, "--checkpoint", str(checkpoint), "-o", f"models/{package}"]


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
