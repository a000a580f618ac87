"""From a checked configuration to a graph: models are found and verified, nothing is started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pipeline.config import AnyStage, CameraConfig, OutputConfig, PipelineConfig
from pipeline.crew import Batch
from pipeline.errors import OutputError
from pipeline.graph import SOURCES, Camera, Graph, Node
from pipeline.media.paused import PausedSource
from pipeline.media.sources import SourceOptions, is_live, open_source
from pipeline.media.uri import redact
from pipeline.output.overlay import Outline, outlines_of
from pipeline.output.preview import PREVIEW, PreviewSink
from pipeline.output.sinks import build_sink, sink_class
from pipeline.payloads import Tracked
from pipeline.planning import Plan, Planner
from pipeline.queues import OnFull, Priority
from pipeline.registry import STAGES
from pipeline.sharding.spreading import cores
from pipeline.stage import Run, Sink
from pipeline.stages.entrance import ENTRANCE, EntranceStage


def build(config: PipelineConfig) -> Graph:
    """Makes the graph that a configuration describes.

    Args:
        config: complete, as `pipeline.load` gives it.

    Raises:
        ConfigError: a model is missing or damaged, or an engine cannot run it; names file, line,
            key and remedy.
        GraphError: the stages do not fit together.
    """
    planner = Planner(config)
    cameras = tuple(_camera(camera) for camera in config.cameras)
    stages = [_node(planner, name, stage) for name, stage in config.stages.items()]
    nodes = (*stages, *_sinks(planner))
    graph = Graph(cameras, nodes, config.run.drain_s, config.run.max_age_ms / 1e3)
    if config.http is not None:
        graph = _with_preview(graph, planner)
    if any(camera.drops for camera in cameras):
        graph = _with_entrance(graph, config.run.queue)
    return replace(graph, nodes=tuple(_tied(graph.nodes)))


def _with_entrance(graph: Graph, queue: int) -> Graph:
    """The graph with a stage before all others, where alone frames are dropped under overload."""
    entrance = Node(
        ENTRANCE,
        EntranceStage,
        lambda run: EntranceStage(run.governor),
        (SOURCES,),
        # What waits grows old: one to be taken next, and one that comes meanwhile.
        queue=min(queue, 2),
        signature=ENTRANCE,
    )
    moved = {SOURCES: ENTRANCE}
    behind = [
        replace(node, after=tuple(moved.get(name, name) for name in node.after))
        for node in graph.nodes
    ]
    return replace(graph, nodes=(entrance, *behind))


def _camera(config: CameraConfig) -> Camera:
    options = SourceOptions(
        threads=config.decoder_threads,
        decoders=config.decoder,
        start_s=config.start_s,
        end_s=config.end_s,
        key_frames=config.key_frames,
        loop=config.loop,
        image_fps=config.fps,
        transport=config.transport,
        open_timeout_s=config.open_timeout_s,
        read_timeout_s=config.read_timeout_s,
        stall_s=config.stall_s,
        freeze_s=config.freeze_s,
        retry_s=config.retry_s,
        isolate=config.isolate,
    )
    live = is_live(config.uri)
    return Camera(
        config.id,
        redact(config.uri),
        PausedSource if config.paused else partial(open_source, config.uri, options),
        live or config.paused,  # either has nothing that could be opened beforehand
        config.on_full or (OnFull.DROP_OLDEST if live else OnFull.BLOCK),
        config.max_fps,
        config.every,
        config.pace == "realtime" and not live,
        ", else ".join(config.decoder),
        config,
        priority=Priority(config.priority),
        paused=config.paused,
    )


def _node(planner: Planner, name: str, stage: AnyStage) -> Node:
    plan, signature = planner.signature(stage, lambda: STAGES[stage.kind](planner, name, stage))
    batch = getattr(stage, "batch", None)
    return Node(
        name,
        plan.stage,
        plan.make,
        stage.after,
        _workers(planner.config, stage, plan),
        stage.queue or planner.config.run.queue,
        stage.on_full,
        Batch(batch.max, batch.wait_ms / 1e3) if batch else Batch(),
        plan.binding,
        returns_to=plan.returns_to,
        signature=signature,
    )


def _with_preview(graph: Graph, planner: Planner) -> Graph:
    """The graph with what keeps each camera's last result, behind its last tracker."""
    stages = [n for n in graph.nodes if n.stage.produces and issubclass(n.stage.produces, Tracked)]
    if not stages:
        return graph
    last = stages[-1].name
    labels, outlines = planner.labels(last), outlines_of(planner.rules(last) or {})
    return graph.with_node(
        Node(
            PREVIEW,
            PreviewSink,
            lambda run: PreviewSink(labels, outlines),
            (last,),
            queue=planner.config.run.queue,
            signature=(labels, outlines),
        )
    )


def _tied(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, where those of a way back stay the same together or not at all."""
    tied = list(nodes)
    for giver in (node for node in nodes if node.returns_to):
        loop = {giver.name}
        for node in reversed(nodes):
            if node.name in loop and node.name != giver.returns_to:
                loop.update(node.after)
        together = [node.signature for node in nodes if node.name in loop]
        tied = [replace(n, signature=together) if n.name in loop else n for n in tied]
    return tied


def _workers(config: PipelineConfig, stage: AnyStage, plan: Plan) -> int:
    if stage.workers != "auto":
        return stage.workers
    # For throughput: as many workers as this process's cores, less where each has several threads.
    bound: tuple[str, ...] = getattr(stage, "engine", ())
    engine = config.engines.get(bound[0]) if bound else None
    threads = engine.options.get("threads", 1) if engine else 1
    workers = max(1, cores(config) // max(1, threads))
    # One that keeps state per camera has nothing to do for more workers than cameras.
    return min(workers, len(config.cameras)) if plan.stage.per_camera else workers


def _sinks(planner: Planner) -> Iterator[Node]:
    config = planner.config
    cameras = [camera.id for camera in config.cameras]
    used: Counter[str] = Counter(config.stages)
    for index, output in enumerate(config.outputs):
        used[output.name] += 1
        name = output.name if used[output.name] == 1 else f"{output.name}-{used[output.name]}"
        labels, rules = planner.labels(output.after), planner.rules(output.after)
        outlines = outlines_of(rules or {}) if sink_class(output).looks else ()
        make = _sink_maker(output, cameras, labels, outlines)
        with planner.located("outputs", index):
            if output.events is not None and rules is None:
                raise OutputError("there is no stage of kind analyse before it; put one there")
            make(Run())  # so that an output that does not fit the cameras is told before the start
        yield Node(
            name,
            sink_class(output),
            make,
            (output.after,),
            queue=config.run.queue,
            about=output.about,
            signature=(output.spec, labels, outlines),
        )


def _sink_maker(
    output: OutputConfig,
    cameras: Sequence[str],
    labels: Sequence[str],
    outlines: Sequence[Outline],
) -> Callable[[Run], Sink[Tracked]]:
    return lambda run: build_sink(output, cameras, labels, outlines)
