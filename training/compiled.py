"""Compiles the two-stage detector for the simulated Atlas 500, into its packages.

`python -m training.compiled --work runs` calibrates the first network on a sample video, and the
second on what the graph gives it there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from training.export import as_yaml, file_entry

_PROFILE = "atlas500"
_VIDEO = "sample_videos/day.mp4"
_GRAPH = "configs/atlas500_frcnn.yaml"
_BATCH = 30
"""Proposals that the second network takes at once on the chip."""


def compile_both(models: Path, work: Path) -> None:
    """Compiles both networks of `models`, with recordings and reports in `work`."""
    compile_into(models / "street-duo-rpn", work, "--calibration", _VIDEO)
    rois = str(work / "rois.rec")
    on_host = ["--set", "stages.backbone.engine=cpu0", "--set", "cameras[0].every=10"]
    _sightline("record", _GRAPH, "--at", "roi_align", "-o", rois, *on_host)
    compile_into(models / "street-duo-head", work, "--calibration", rois, "--batch", str(_BATCH))


def compile_into(package: Path, work: Path, *options: str) -> None:
    """Compiles a package's network and makes what comes out part of the package."""
    name = f"{package.name}.{_PROFILE}.slnpu"
    _sightline("compile", str(package), "--profile", _PROFILE, "-o", str(work / name), *options)
    shutil.copyfile(work / name, package / name)
    manifest = yaml.safe_load((package / "model.yaml").read_text(encoding="utf-8"))
    manifest["files"] = [
        *(entry for entry in manifest["files"] if entry["path"] != name),
        file_entry(package / name, format="sim-npu", precision="int8", target=_PROFILE),
    ]
    (package / "model.yaml").write_text(as_yaml(manifest), encoding="utf-8")


def _sightline(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pipeline.cli.main", *arguments], check=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--work", type=Path, default=Path("runs"))
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    compile_both(chosen.models, chosen.work)


if __name__ == "__main__":
    main()
