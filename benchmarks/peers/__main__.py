"""`python -m benchmarks.peers install FOLDER [LIBRARY ...]`: what we are held against."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from benchmarks.peers.environments import PIPELINES, REQUIREMENTS, install


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("command", choices=["install"], help="makes an environment a library")
    parser.add_argument("folder", type=Path, help="for the environments, 3.5 GB in all")
    known = REQUIREMENTS | PIPELINES
    names = ", ".join(known)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"of {names}; else all")
    arguments = parser.parse_args()
    for library in arguments.libraries or known:
        if library not in known:
            parser.error(f"there is no library {library!r}; there are {names}")
        try:
            install(arguments.folder.resolve(), library)
        except subprocess.CalledProcessError as error:
            parser.error(f"{library}: pip ended with {error.returncode}; see what it says above")


if __name__ == "__main__":
    main()
