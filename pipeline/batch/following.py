"""The second half: a clip is followed from its first frame to its last, by what was seen of it.

An ordinary graph, in which a stage that recalls stands for each boundary. So what remembers the
past sees the same as in a run of the whole graph, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pipeline.batch.busy import Busy
from pipeline.batch.clip import Clip
from pipeline.batch.digest import write_digest
from pipeline.batch.halves import halves, last_stage
from pipeline.batch.job import Answer, Followed, FollowJob, Under
from pipeline.batch.recall import Ready, RecallStage, SeenSource
from pipeline.batch.seeing import TELL_S
from pipeline.builder import build
from pipeline.config import CameraConfig, OutputConfig, PipelineConfig
from pipeline.errors import SightlineError
from pipeline.graph import SOURCES, Graph, Node
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.report import RunReport
from pipeline.stage import Sink
from pipeline.supervisor import Supervisor

#: Files of results, by format.
FILES = {
    "jsonl": "tracks.jsonl",
    "csv": "tracks.csv",
    "mot": "tracks.mot.txt",
    "coco": "coco.json",
}
VIDEO = "annotated.mp4"
EVENTS = "events.jsonl"
EVIDENCE = "evidence"


class CountSink(Sink[Tracked]):
    """Counts identities and events.

    Attributes:
        tracks: the ids there were.
        events: how many.
    """

    consumes = Tracked

    def __init__(self) -> None:
        self.tracks: set[int] = set()
        self.events = 0

    def write(self, packet: Packet[Tracked]) -> None:
        payload = packet.payload
        self.tracks.update(payload.tracks.ids.tolist())
        self.events += len(payload.analysis.events) if payload.analysis else 0


class Follower:
    """Follows clips, one after another.

    Args:
        config: as `pipeline.batch.settings` gives it.
        answer: told of each clip that was followed, or why not, and now and then of how far it is.

    Raises:
        SightlineError: as `pipeline.builder.build`.
    """

    def __init__(self, config: PipelineConfig, answer: Callable[[Answer], None]) -> None:
        self._config, self._answer = config, answer
        self._last = last_stage(build(config)).name
        self._jobs: SimpleQueue[FollowJob | None] = SimpleQueue()
        self._ready = Ready()

    def give(self, job: FollowJob) -> None:
        """One clip more; from any thread."""
        self._jobs.put(job)

    def ready(self, clip: str, segment: int) -> None:
        """This segment was seen; from any thread."""
        self._ready.tell(clip, segment)

    def finish(self) -> None:
        """No clip will come any more; from any thread."""
        self._jobs.put(None)

    def run(self) -> None:
        """Works until all is done."""
        for job in iter(self._jobs.get, None):
            try:
                followed = self._follow(job)
            except (SightlineError, OSError) as error:
                followed = Followed(job.clip.name, error=str(error))
            # First: upon the answer the same clip may be asked for again.
            self._ready.forget(job.clip.name)
            self._answer(followed)

    def _follow(self, job: FollowJob) -> Followed:
        count, busy, told = CountSink(), Busy(), 0
        counting = Node("count", CountSink, lambda run: count, (self._last,))
        supervisor = Supervisor(self._graph(job).with_node(counting))

        def tell(report: RunReport) -> None:
            nonlocal told
            frames = report.emitted - told
            self._answer(Under(job.clip.name, frames, busy.since(report)))
            told = report.emitted

        supervisor.start()
        report = supervisor.wait(tell, TELL_S)
        tell(report)
        error = _failed(report)
        if not error:
            write_digest(job.results, job.clip, self._config.batch.thumbnails)
        return Followed(
            job.clip.name,
            report.to_json(),
            {stage.name: stage.binding for stage in report.stages if stage.binding},
            len(count.tracks),
            count.events,
            error,
        )

    def _graph(self, job: FollowJob) -> Graph:
        """What follows this clip."""
        clip, options = job.clip, self._config.batch
        outputs = _outputs(self._config, job.results, self._last)
        cameras = (CameraConfig.model_validate({"id": clip.name, "uri": clip.uri}),)
        config = self._config.model_copy(update={"cameras": cameras, "outputs": outputs})
        graph = build(config)
        divided = halves(graph)

        def source() -> SeenSource:
            return SeenSource(clip, job.seen, self._ready, options, divided.looks)

        camera = replace(graph.cameras[0], make=source)
        recalls = [_recall(clip, job.seen, node) for node in divided.boundaries]
        return replace(graph, cameras=(camera,), nodes=(*recalls, *divided.following))


def _recall(clip: Clip, folder: Path, boundary: Node) -> Node:
    at = boundary.name
    return Node(at, RecallStage, lambda run: RecallStage(clip, folder, at), (SOURCES,))


def _outputs(config: PipelineConfig, results: Path, after: str) -> tuple[OutputConfig, ...]:
    """What is written of each clip; nothing in it depends on when."""
    options = config.batch
    outputs: list[dict[str, Any]] = [
        {"file": {"path": str(results / FILES[form]), "format": form}}
        for form in dict.fromkeys(("jsonl", *options.results))
    ]
    if any(stage.kind == "analyse" for stage in config.stages.values()):
        pictures = str(results / EVIDENCE) if options.evidence else None
        outputs.append({"events": {"path": str(results / EVENTS), "pictures": pictures}})
    if options.annotate:
        outputs.append({"annotate": {"path": str(results / VIDEO), "latency": False}})
    return tuple(OutputConfig.model_validate({**output, "after": after}) for output in outputs)


def _failed(report: RunReport) -> str:
    """Why the results are not complete; empty where they are."""
    for failure in report.failures:
        return f"{failure.where}: {failure.error}"
    for stage in report.stages:
        if stage.dropped.get("disk_full") or stage.counts.get("pictures missing"):
            return f"{stage.name}: the disk is full: not all could be written"
    return "" if report.balanced else "the ledger is not balanced"
