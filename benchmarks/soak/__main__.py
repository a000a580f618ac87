"""`python -m benchmarks.soak --minutes 30`: soaks the program and draws the curves."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import machine
from benchmarks.soak import __doc__ as about
from benchmarks.soak.page import page, table
from benchmarks.soak.samples import Sample, Sampler
from benchmarks.soak.street import FPS, clips
from benchmarks.soak.subject import Subject
from benchmarks.soak.verdict import findings

#: The first report must be there by then; models are loaded before.
_BEGIN_S = 60.0
_FEWEST = 6  # samples, below which there is no slope to speak of

_CONFIG = """\
cameras:
{cameras}
engines:
  cpu0: {{backend: onnxruntime, device: cpu, threads: 1}}
stages:
  detect: {{model: street-pico, engine: cpu0}}
  track: {{}}
outputs:
  - {{udp: {{to: "127.0.0.1:{port}", format: telegram}}}}
"""


def main() -> None:
    """Command line; exits with 1 where a rule was missed."""
    arguments = _arguments()
    allowed = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="sightline-soak-") as scratch:
        folder = arguments.clips or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        videos = clips(folder, arguments.cameras, arguments.seconds, len(allowed))
        config = Path(scratch) / "soak.yaml"
        config.write_text(_config(videos), encoding="utf-8")
        log = Path(scratch) / "stderr.txt"
        with Subject(config, allowed[: arguments.cores], log) as subject:
            samples = _soak(subject, arguments.minutes * 60, arguments.every)
            code = subject.stop()
        print(log.read_text(), end="", file=sys.stderr)
    if len(samples) < _FEWEST:
        raise SystemExit(f"the program ended after {len(samples)} samples; it said what is above")
    found = findings(samples, subject.report, code, FPS)
    facts = (
        f"{arguments.cameras} rendered cameras, 1280x720 at {FPS:g} fps; "
        f"{machine(arguments.cores)}."
    )
    arguments.output.write_text(page(facts, samples, found), encoding="utf-8")
    print(f"{facts}\n\n{table(found)}\n\ncurves: {arguments.output}")
    raise SystemExit(not all(finding.passed for finding in found))


def _soak(subject: Subject, seconds: float, every_s: float) -> list[Sample]:
    """Looks at the process until the time is over, or it ended."""
    deadline_s = time.monotonic() + _BEGIN_S
    while subject.running and not subject.report and time.monotonic() < deadline_s:
        time.sleep(0.1)
    samples: list[Sample] = []
    sampler = Sampler(subject.pid)
    end_s = time.monotonic() + seconds
    while subject.running and time.monotonic() < end_s:
        time.sleep(every_s)
        samples.append(sampler.look(subject.report))
    return samples


def _config(videos: list[Path]) -> str:
    # Dropping at the entrance, as of a camera: a file would wait, and hide that time is short.
    cameras = (
        f'  - {{id: c{number}, uri: "file:{video}", pace: realtime, loop: true, '
        "on_full: drop_oldest}"
        for number, video in enumerate(videos, 1)
    )
    return _CONFIG.format(cameras="\n".join(cameras), port=9)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=about)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--cameras", type=int, default=4, help="how many (4)")
    parser.add_argument("--cores", type=int, default=2, help="processors for the program (2)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between looks (5)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each clip (20)")
    parser.add_argument("--clips", type=Path, help="folder that keeps the clips for the next time")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("soak.html"), help="the page (soak.html)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
