"""What fewer bits cost, from tensors to tracks: two bindings over the same frames."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from math import isfinite
from typing import Any

import numpy as np

from engines.difference import Difference
from pipeline.builder import build
from pipeline.config import PipelineConfig
from pipeline.config.schema import PostprocessConfig
from pipeline.errors import DataError
from pipeline.evaluation import detection_ap
from pipeline.evaluation.evaluate import Rules, combine, evaluate
from pipeline.evaluation.mot_files import MotTable, one_after_another
from pipeline.evaluation.preprocess import Benchmark
from pipeline.graph import SOURCES, Graph
from pipeline.packet import Status
from pipeline.parity import agreement, require_recorded
from pipeline.payloads import ModelInput, ModelOutput
from pipeline.planning import Planner
from pipeline.quantisation.figures import FIGURES, Figure
from pipeline.quantisation.reid import Looks, embed_node, mean_cosine, with_truth
from pipeline.quantisation.truth import Truth
from pipeline.results import Results
from pipeline.serial import SerialRun, Step, run_serially
from pipeline.stages.embed import EmbedStage

_OVERLAPS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
_Pairs = list[tuple[MotTable, MotTable]]


@dataclass(frozen=True, slots=True)
class Scoring:
    """What both sides are scored by.

    Attributes:
        truths: by camera; a camera without is not scored.
        benchmark: whose rules decide what counts.
        reid: model whose embeddings are judged; empty for that of the configuration, if it has one.
    """

    truths: Mapping[str, Truth] = field(default_factory=dict)
    benchmark: Benchmark = Benchmark.SIMPLE
    reid: str = ""

    @property
    def numbers(self) -> Mapping[str, int]:
        """The class number of each label; empty where classes are not told apart.

        Raises:
            DataError: the cameras' truths number them differently.
        """
        if self.benchmark is not Benchmark.SIMPLE:
            return {}
        first, *others = [truth.numbers for truth in self.truths.values()] or [{}]
        if any(numbers != first for numbers in others):
            raise DataError("the cameras' ground truths number their classes differently")
        return first


@dataclass(frozen=True, slots=True)
class Side:
    """What one side had to say after the run.

    Attributes:
        engines: the report of each engine, with its stage's name as ``stage``.
        states: how many frames were not fine, by the worst that is known of them (``blind`` …).
        counts: what the stages counted, such as that an engine failed, by ``stage: what``.
        reasons: why each engine that ever failed last did, by its id.
    """

    engines: tuple[dict[str, Any], ...]
    states: dict[str, int]
    counts: dict[str, int]
    reasons: dict[str, str]


@dataclass(frozen=True, slots=True)
class QuantReport:
    """What a candidate costs against a reference.

    Attributes:
        frames: that both sides ran.
        truths: where each scored camera's ground truth is from.
        tensors: the candidate's outputs against the reference's, by stage and tensor. A frame on
            which the network's inputs differ, or one side is blind, does not count.
        figures: those that could be worked out, in the order of `figures.FIGURES`.
        reference: what ran.
        candidate: what ran.
    """

    frames: int
    truths: dict[str, str]
    tensors: dict[tuple[str, str], Difference]
    figures: tuple[Figure, ...]
    reference: Side
    candidate: Side

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for a number that is not finite."""
        tensors = [
            {"stage": stage, "tensor": name, "frames": found.runs, "misfits": found.misfits}
            | {"relative": found.relative, "snr_db": found.snr_db, "cosine": found.cosine}
            for (stage, name), found in self.tensors.items()
        ]
        figures = [asdict(figure) | {"drop": figure.drop} for figure in self.figures]
        plain: dict[str, Any] = _finite(
            {"frames": self.frames, "truths": self.truths, "tensors": tensors, "figures": figures}
            | {"reference": asdict(self.reference), "candidate": asdict(self.candidate)}
        )
        return plain


def quant_report(
    reference: PipelineConfig,
    candidate: PipelineConfig,
    scoring: Scoring,
    frames: int | None = None,
) -> QuantReport:
    """Runs both side by side, frame by frame, and scores them.

    Args:
        reference: complete, as `pipeline.load` gives it.
        candidate: the same stages, bound otherwise.
        scoring: what they are scored by.
        frames: how many at most, over all cameras; None for all.

    Raises:
        ConfigError: a model or an engine of either is not there.
        DataError: the ground truth does not fit, or the sides have other cameras.
        GraphError: a camera is live.
        SourceError, StageError: a camera or a stage of either does not open.
    """
    if reference.cameras != candidate.cameras:
        raise DataError("the reference and the candidate have other cameras: see --candidate-set")
    one, other = _Collected(reference, scoring), _Collected(candidate, scoring)
    require_recorded(one.graph)
    tensors: dict[tuple[str, str], Difference] = defaultdict(Difference)
    with run_serially(one.graph) as left, run_serially(other.graph) as right:
        for steps in islice(zip(left, right, strict=True), frames):
            one.add(steps[0])
            other.add(steps[1])
            _compare(one.graph, *steps, tensors)
        sides = one.side(left), other.side(right)
    figures = tuple(_figures(one, other, _rules(reference, scoring), scoring.truths))
    truths = {camera: truth.source for camera, truth in scoring.truths.items()}
    count = sum(map(len, one.frames.values()))
    return QuantReport(count, truths, dict(tensors), figures, *sides)


class _Collected:
    """One side's graph, and what it gives."""

    def __init__(self, config: PipelineConfig, scoring: Scoring) -> None:
        self.graph = _graph(config, scoring)
        classes = None
        if scoring.numbers:
            labels = Planner(config).labels(Results(self.graph).detector)
            classes = np.array([scoring.numbers.get(label, 0) for label in labels], np.int64)
        self.results = Results(self.graph, classes)
        self.looks = Looks(scoring.truths)
        self.frames: dict[str, list[int]] = defaultdict(list)
        self._states: Counter[str] = Counter()

    def add(self, step: Step) -> None:
        """Adds what the stages gave for one frame."""
        self.results.add(step)
        self.looks.add(step)
        for packet in step.get(SOURCES, ()):
            self.frames[packet.frame.camera].append(packet.frame.index)
        worst = max((packet.status for packets in step.values() for packet in packets), default=0)
        if worst:
            self._states[Status(worst).name.lower()] += 1

    def side(self, run: SerialRun) -> Side:
        """What is to be told at the end, while the stages are open."""
        stages = run.stages.items()
        return Side(
            tuple({"stage": name, **r} for name, stage in stages for r in stage.engine_reports()),
            dict(self._states),
            {f"{name}: {what}": n for name, stage in stages for what, n in stage.counts().items()},
            {engine: why for _, stage in stages for engine, why in stage.reasons().items()},
        )


def _graph(config: PipelineConfig, scoring: Scoring) -> Graph:
    """The graph without outputs, in which a ReID network also looks at the ground truth."""
    graph = build(config).without_sinks()
    if not scoring.truths:
        return graph
    own = [node for node in graph.nodes if issubclass(node.stage, EmbedStage)]
    nodes = [embed_node(config, scoring.reid)] if scoring.reid else own[-1:]
    return with_truth(graph, nodes[0], scoring.truths) if nodes else graph


def _compare(
    graph: Graph, one: Step, other: Step, tensors: dict[tuple[str, str], Difference]
) -> None:
    """Adds the outputs of every network that was given the same."""
    for node in graph.nodes:
        pairs = zip(one.get(node.name, ()), other.get(node.name, ()), strict=True)
        if node.stage.produces is not ModelOutput or not _same(one, other, node.after[0]):
            continue
        for a, b in pairs:
            expected, found = a.payload.tensors, b.payload.tensors
            for name in expected.keys() & found.keys():
                tensors[node.name, name].add(expected[name], found[name])


def _same(one: Step, other: Step, stage: str) -> bool:
    """Whether a stage gave both sides the same network inputs."""
    pairs = zip(one.get(stage, ()), other.get(stage, ()), strict=True)
    payloads = [(a.payload, b.payload) for a, b in pairs]
    return all(
        isinstance(a, ModelInput) and np.array_equal(a.tensor, b.tensor) for a, b in payloads
    )


def _rules(config: PipelineConfig, scoring: Scoring) -> Rules:
    """The classes that are named in the truth and that the configuration asks for."""
    numbers = scoring.numbers
    if not numbers:
        return Rules(scoring.benchmark)
    planner, asked = Planner(config), set[str]()
    for name, stage in config.stages.items():
        if isinstance(stage, PostprocessConfig):
            asked.update(stage.classes or planner.labels(name))
    classes = tuple(number for label, number in numbers.items() if label in asked)
    if not classes:
        raise DataError(
            f"none of the ground truth's classes ({', '.join(numbers)}) is among those that are "
            f"detected ({', '.join(sorted(asked))})"
        )
    return Rules(scoring.benchmark, classes)


def _figures(
    one: _Collected, other: _Collected, rules: Rules, truths: Mapping[str, Truth]
) -> Iterator[Figure]:
    """Every figure there is a ground truth, or a stage, for."""
    expected = {camera: truth.over(one.frames[camera]) for camera, truth in truths.items()}
    there = any((table.scores != 0).any() for table in expected.values())
    sides = one.results, other.results
    if there and one.results.detector:
        found = [_precisions(_pairs(expected, side.detections()), rules) for side in sides]
        yield from _side_by_side(*found)
    agreed = agreement(*sides)
    if agreed is not None:
        yield Figure("agreement", 1.0, agreed)
    if one.looks.crops:
        yield Figure("rank-1", one.looks.rank_one(), other.looks.rank_one())
        yield Figure("cosine", 1.0, mean_cosine(one.looks, other.looks))
    if there and one.results.tracker:
        found = [_track_scores(_pairs(expected, side.tracks()), rules) for side in sides]
        yield from _side_by_side(*found)


def _side_by_side(one: Mapping[str, float], other: Mapping[str, float]) -> Iterator[Figure]:
    return (Figure(name, value, other[name]) for name, value in one.items())


def _pairs(expected: Mapping[str, MotTable], found: Mapping[str, MotTable]) -> _Pairs:
    return [(table, found[camera]) for camera, table in expected.items()]


def _precisions(pairs: _Pairs, rules: Rules) -> dict[str, float]:
    """AP50, and the mean over the overlaps 0.5, 0.55 … 0.95, 0..1."""
    gt, found = one_after_another(pairs)
    scores = []
    for iou in _OVERLAPS:
        summary = detection_ap.summary(gt, found, Rules(rules.benchmark, rules.classes, iou))
        scores.append(next(iter(summary.values())) / 100)
    return {"AP50": scores[0], "AP50-95": float(np.mean(scores))}


def _track_scores(pairs: _Pairs, rules: Rules) -> dict[str, float]:
    summary = combine(evaluate(*pair, rules) for pair in pairs).summary()
    return {name: summary[name] for name in FIGURES["tracks"]}


def _finite(value: Any) -> Any:
    """The value with None for every number in it that is not finite."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
