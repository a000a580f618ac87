"""`python -m benchmarks.soak --minutes 30`: soaks the program and draws the curves."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import psutil

from benchmarks.harness import machine
from benchmarks.soak import __doc__ as about
from benchmarks.soak.cameras import FPS, HEIGHT, WIDTH, painted, serving
from benchmarks.soak.page import page, table
from benchmarks.soak.samples import Sample, Sampler, usage
from benchmarks.soak.subject import Subject
from benchmarks.soak.verdict import findings, warm_up_s

#: The first report must be there by then; models are loaded before.
_BEGIN_S = 60.0
#: The load of the machine is averaged over so long: what drops a frame is over in a second.
_LISTEN_S = 0.5
_FEWEST = 6  # samples, below which there is no slope to speak of
#: While it warms up the program has neighbours now and then, so many a core and for so long, that
#: want the cores as well: so its queues were full once. A decoder keeps as many pictures' memory as
#: were ever under way, and a quiet machine would reach that bound in steps, hours apart.
_CROWDS, _CROWD, _CROWD_S = 3, 4, 10.0

_CONFIG = """\
cameras:
{cameras}
engines:
  cpu0: {{backend: onnxruntime, device: cpu, threads: 1}}
stages:
  detect: {{model: street-pico, engine: cpu0}}
  track: {{}}
http: {{bind: "{page}"}}
outputs:
  - {{udp: {{to: "127.0.0.1:9", format: telegram}}}}
"""


def main() -> None:
    """Command line; exits with 1 where a rule was missed."""
    arguments = _arguments()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    allowed = sorted(os.sched_getaffinity(0))
    clips = painted(arguments.cameras, round(arguments.loop * FPS), len(allowed))
    with (
        tempfile.TemporaryDirectory(prefix="sightline-soak-") as scratch,
        serving(clips, arguments.harm_every) as (cameras, urls),
    ):
        config, log = Path(scratch) / "soak.yaml", arguments.output.with_suffix(".log")
        page_at = _free_address()
        config.write_text(_config(urls, page_at), encoding="utf-8")
        with Subject(config, page_at, allowed[: arguments.cores], log) as subject:
            kept = arguments.output.with_suffix(".jsonl")
            samples = _soak(subject, arguments.minutes * 60, arguments.every, kept)
            code, last = subject.stop()
        beside = usage(psutil.Process(cameras)).cpu_s / (60 * arguments.minutes)
    if len(samples) < _FEWEST:
        raise SystemExit(f"the program ended after {len(samples)} samples; see {log}")
    found = findings(samples, last, code, None if arguments.harm_every else FPS)
    harm = f"one harmed every {arguments.harm_every:g} s" if arguments.harm_every else "all well"
    facts = (
        f"{arguments.cameras} RTSP cameras, {WIDTH}x{HEIGHT} at {FPS} fps, {harm}; their process "
        f"kept {beside:.2f} cores busy beside it. {machine(arguments.cores)}."
    )
    arguments.output.write_text(page(facts, samples, found), encoding="utf-8")
    print(f"{facts}\n\n{table(found)}\n\ncurves: {arguments.output}")
    raise SystemExit(not all(finding.passed for finding in found))


def _soak(subject: Subject, seconds: float, every_s: float, kept: Path) -> list[Sample]:
    """Looks at the process until the time is over, or it ended; keeps what it saw in a file."""
    deadline_s = time.monotonic() + _BEGIN_S
    while subject.running and not subject.report() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    samples: list[Sample] = []
    sampler = Sampler(subject.pid)
    began_s = time.monotonic()
    crowds_s = [warm_up_s(seconds) * part / (_CROWDS + 1) for part in range(1, _CROWDS + 1)]
    with kept.open("w", encoding="utf-8") as lines:
        while subject.running and time.monotonic() < began_s + seconds:
            if crowds_s and time.monotonic() >= began_s + crowds_s[0]:
                _crowd(_CROWD_S)
                del crowds_s[0]
            look_s = time.monotonic() + every_s
            while (left_s := look_s - time.monotonic()) > 0:
                time.sleep(min(left_s, _LISTEN_S))
                sampler.listen()
            if report := subject.report():
                samples.append(sampler.look(report))
                print(json.dumps(asdict(samples[-1])), file=lines, flush=True)
    return samples


def _crowd(seconds: float) -> None:
    """Keeps all cores busy several times over for a while."""
    count = _CROWD * len(os.sched_getaffinity(0))
    crowd = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(seconds)
    for neighbour in crowd:
        neighbour.kill()
        neighbour.wait()


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _config(urls: Sequence[str], page_at: str) -> str:
    cameras = (f'  - {{id: c{number}, uri: "{url}"}}' for number, url in enumerate(urls, 1))
    return _CONFIG.format(cameras="\n".join(cameras), page=page_at)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=about)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--cameras", type=int, default=4, help="how many (4)")
    parser.add_argument("--cores", type=int, default=2, help="processors for the program (2)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between looks (5)")
    parser.add_argument(
        "--loop", type=float, default=20.0, help="length of the clips, seconds (20)"
    )
    parser.add_argument(
        "--harm-every",
        type=float,
        default=0.0,
        help="seconds after which a camera comes to harm: disconnected, silent, reset, away, lossy",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("soak.html"),
        help="the page (soak.html); beside it all samples as JSON lines, and the log",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
