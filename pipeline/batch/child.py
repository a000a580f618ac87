"""``python -m pipeline.batch.child SOCKET``: looks at segments, or follows clips, for its parent.

What `pipeline.batch.helper` starts. It ends when it was told that there are no more jobs and has
done all; where its stages fail for good it ends too, and says why as the last thing it prints.
"""

from __future__ import annotations

import threading

from engines.isolation.spawn import from_the_parent
from pipeline.batch.following import Follower
from pipeline.batch.job import Answer
from pipeline.batch.seeing import Seer
from pipeline.parent import Parent
from pipeline.worker import Background


def serve(parent: Parent) -> None:
    """Does what the parent asks, until it wants nothing any more."""
    kind, config = parent.hear()

    def answer(what: Answer) -> None:
        parent.tell("answer", what)

    worker = Seer(config, answer) if kind == "see" else Follower(config, answer)

    def listen(stop: threading.Event) -> None:
        while not stop.is_set():
            call, *arguments = parent.hear()
            getattr(worker, call)(*arguments)

    Background("parent", listen).start()
    worker.run()


def main() -> None:
    """Serves the parent until it lets go."""
    channel, _ = from_the_parent()
    parent = Parent(channel)
    parent.take_log()
    serve(parent)


if __name__ == "__main__":
    main()
