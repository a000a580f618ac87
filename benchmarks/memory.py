"""Peak memory (resident set) of a whole run in a process of its own, for a short and a long file.

640x360 through an idle detector, tracker and JSONL, and beside it the same process without a run:
Python with every library loaded.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pipeline
from benchmarks.clips import clip
from benchmarks.harness import Goal, Options, Row, interleaved
from benchmarks.idle import detector


def rows(options: Options) -> list[Row]:
    """The short file beside no file, the long one beside the short one."""
    short, long = options.take(50, 200), options.take(400, 3000)
    configs = {
        "none": _config(options, "none", 1),
        "short": _config(options, "short", short),
        "long": _config(options, "long", long),
    }
    numbers = interleaved(
        {name: partial(_peak_mb, path, run=name != "none") for name, path in configs.items()},
        options.take(1, 2),
    )
    return [
        Row(f"{short} frames", "MB", numbers["short"], "no run", numbers["none"]),
        Row(
            f"{long} frames",
            "MB",
            numbers["long"],
            f"{short} frames",
            numbers["short"],
            Goal("ratio", "at most", 1.1),
        ),
    ]


def _config(options: Options, name: str, frames: int) -> Path:
    path = options.folder / f"memory-{name}.yaml"
    video = clip(options.folder, frames)
    model = detector(options.folder / "idle")
    path.write_text(
        f'cameras:\n  - {{id: street, uri: "{video}"}}\n'
        "engines:\n  cpu0: {backend: onnxruntime, device: cpu, threads: 1}\n"
        f'stages:\n  detect: {{model: "{model}", engine: cpu0}}\n'
        f'outputs:\n  - {{file: {{path: "{options.folder}/memory.jsonl"}}}}\n'
    )
    return path


def _peak_mb(config: Path, *, run: bool) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", str(config), "run" if run else "load"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def _main(config: str, what: str) -> None:
    """In the process of its own: builds the graph, runs it if asked to, tells the peak in MB."""
    graph = pipeline.build(pipeline.load(config))
    if what == "run":
        pipeline.run(graph)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) / 1024)


if __name__ == "__main__":
    _main(*sys.argv[1:])
