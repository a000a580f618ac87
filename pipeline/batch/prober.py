"""``python -m pipeline.batch.prober SOCKET``: probes one input after another for its parent."""

from __future__ import annotations

from engines.isolation.spawn import from_the_parent
from pipeline.batch.probe import probe


def main() -> None:
    """Answers until the parent lets go."""
    channel, _ = from_the_parent()
    while True:
        try:
            entry, options = channel.recv()
        except EOFError:
            return
        channel.send(probe(entry, options))


if __name__ == "__main__":
    main()
