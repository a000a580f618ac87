"""`python -m benchmarks [--quick] [NAME ...]`: runs benchmarks and writes RESULTS.md."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from importlib import import_module
from pathlib import Path

from benchmarks.harness import Options, Row, Usage, machine
from benchmarks.results import page, table

NAMES = (
    *("graph", "overhead", "engine", "sharing", "ingest", "output", "two-stage", "mixed"),
    *("cascade", "trackers", "memory", "archive"),
)
HERE = Path(__file__).resolve().parent
ASSETS = Path(os.environ.get("SIGHTLINE_ASSETS", HERE.parent / "../shared/assets"))
PEERS = Path(folder).resolve() if (folder := os.environ.get("SIGHTLINE_PEERS")) else None


def main() -> None:
    """Command line."""
    arguments = _arguments()
    allowed = sorted(os.sched_getaffinity(0))[: arguments.cores]
    os.sched_setaffinity(0, allowed)  # before a library counts them
    tables: dict[str, tuple[str, list[Row]]] = {}
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder, Usage() as usage:
        assets = ASSETS.resolve() if ASSETS.is_dir() else None
        options = Options(arguments.quick, Path(folder), len(allowed), assets, arguments.peers)
        for name in arguments.names:
            started_s = time.monotonic()
            module = import_module(f"benchmarks.{name.replace('-', '_')}")
            tables[name] = ((module.__doc__ or name).strip(), module.rows(options))
            if os.sched_getaffinity(0) != set(allowed):
                raise SystemExit(f"{name}: a library has pinned this process to other cores")
            print(f"## {name} ({time.monotonic() - started_s:.0f} s)\n{table(tables[name][1])}\n")
    if arguments.output is not None:
        kind = "A quick, rough run" if arguments.quick else "A full run"
        kind += f" of {usage.wall_s / 60:.0f} minutes, in which everything else on the machine kept"
        kind += f" {usage.others:.2f} cores busy."
        arguments.output.write_text(page(machine(len(allowed)), kind, tables), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all if none is given"
    )
    parser.add_argument("--quick", action="store_true", help="short runs: two minutes in all")
    parser.add_argument("--cores", type=int, default=2, help="processors to use (2)")
    parser.add_argument(
        "--peers", type=Path, default=PEERS, help="where `python -m benchmarks.peers` installed"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="where to write the page; RESULTS.md after a full run"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    if arguments.cores < 1:
        parser.error("--cores: at least 1")
    if arguments.output is None and not arguments.names and not arguments.quick:
        arguments.output = HERE / "RESULTS.md"
    arguments.names = arguments.names or list(NAMES)
    return arguments


if __name__ == "__main__":
    main()
