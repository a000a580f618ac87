"""One stage alone, on packets from a recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.errors import DataError, GraphError
from pipeline.feedback import Feedback
from pipeline.graph import Graph
from pipeline.packet import Packet
from pipeline.payloads import TrackerState
from pipeline.recording.codec import PAYLOADS
from pipeline.recording.file import Recording
from pipeline.stage import Run, drive


def replay(
    graph: Graph, stage: str, recording: Recording, feedback: Recording | None = None
) -> Iterator[Packet[Any]]:
    """What the stage makes of the recorded packets.

    Args:
        graph: as `pipeline.build` gives it; of it only this stage is started.
        stage: its name.
        recording: of what a predecessor handed on, or another stage of the same kind.
        feedback: of the stage behind it that gives back to it, where there is one: it has that
            stage's results of the same frames.

    Raises:
        GraphError: there is no such stage, it joins branches, takes another payload, or waits for
            what is given back to it and there is no such recording.
        DataError: on the way, what should be given back is not in `feedback`.
    """
    node = graph.node(stage)
    given = PAYLOADS[recording.about.payload]
    if node.stage.joins or not issubclass(given, node.stage.consumes):
        raise GraphError(
            f"stage {stage!r} takes {node.stage.consumes.__name__}, but the recording has what "
            f"{recording.about.at!r} gives, {given.__name__}; record at "
            f"{' or '.join(map(repr, node.after))}"
        )
    run, packets = Run(), recording.packets()
    if node.stage.recurrent:
        giver = next(other.name for other in graph.nodes if other.returns_to == stage)
        if feedback is None:
            raise GraphError(
                f"stage {stage!r} waits for what {giver!r} gives back: record that, too, and say "
                "--feedback FILE"
            )
        packets = _followed(packets, feedback, run.feedback(stage))
    return drive(node.make(run), packets)


def _followed(
    packets: Iterator[Packet[Any]], recording: Recording, way_back: Feedback[TrackerState]
) -> Iterator[Packet[Any]]:
    """The packets; behind each, what was made of its frame is given back.

    Cameras may come in another order there, so some of it is held until its turn.
    """
    way_back.close()  # so that nobody waits for what was not given
    given, held = recording.packets(), dict[tuple[str, int], TrackerState | None]()
    for packet in packets:
        yield packet
        frame = packet.frame.camera, packet.frame.sequence
        while frame not in held:
            other = next(given, None)
            if other is None:
                raise DataError(
                    f"{recording.path}: it has nothing of frame {frame[1]} of camera {frame[0]!r}"
                )
            held[other.frame.camera, other.frame.sequence] = getattr(other.payload, "state", None)
        state = held.pop(frame)
        if state is None:
            raise DataError(
                f"{recording.path}: what {recording.about.at!r} gives has no tracker's state; "
                "record at the stage that gives it back"
            )
        way_back.give(frame[0], state)
