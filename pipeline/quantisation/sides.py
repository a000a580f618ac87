"""One side of a comparison: its graph, what that gives, and what it has to say at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.builder import build
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.evaluation.preprocess import Benchmark
from pipeline.graph import SOURCES, Graph
from pipeline.packet import Status
from pipeline.planning import Planner
from pipeline.quantisation.reid import Looks, embed_node, with_truth
from pipeline.quantisation.truth import Truth
from pipeline.results import Results
from pipeline.serial import SerialRun, Step


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
        engines: the report of each engine, with its stage's name as ``stage``, without its traffic:
            this is about figures, which are the same in each run, as times are not.
        states: how many frames were not fine, by the worst that is known of them (``blind`` …).
        counts: what the stages counted where an engine failed, by ``stage: what``.
        reasons: why each engine that ever failed last did, by its id.
    """

    engines: tuple[dict[str, Any], ...]
    states: dict[str, int]
    counts: dict[str, int]
    reasons: dict[str, str]

    @property
    def incidents(self) -> tuple[str, ...]:
        """What did not go well, in words."""
        return (
            *(f"frames {state}: {count}" for state, count in self.states.items()),
            *(f"{what} {count}" for what, count in self.counts.items()),
            *(f"{engine}: {why}" for engine, why in self.reasons.items()),
        )


class Collected:
    """What a side gives, collected step by step.

    Attributes:
        graph: to be run; it may have stages more than the configuration, that look at the truth.
        results: its detections and tracks.
        looks: the embeddings of the ground truth.
        frames: indices of the frames that were run, by camera.

    Args:
        config: of this side.
        scoring: what it is scored by.
    """

    def __init__(self, config: PipelineConfig, scoring: Scoring) -> None:
        own = build(config).without_sinks()
        classes = None
        if scoring.numbers:
            labels = Planner(config).labels(Results(own).detector)
            classes = np.array([scoring.numbers.get(label, 0) for label in labels], np.int64)
        self.results = Results(own, classes)
        self.graph = _looking(own, config, scoring)
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
        failed = [(name, stage) for name, stage in stages if stage.reasons()]
        return Side(
            tuple(
                {"stage": name, **{key: told[key] for key in told if key != "traffic"}}
                for name, stage in stages
                for told in stage.engine_reports()
            ),
            dict(self._states),
            {f"{name}: {what}": n for name, stage in failed for what, n in stage.counts().items()},
            {engine: why for _, stage in stages for engine, why in stage.reasons().items()},
        )


def _looking(graph: Graph, config: PipelineConfig, scoring: Scoring) -> Graph:
    """The graph, in which a ReID network also looks at the ground truth, where there are both."""
    if not scoring.truths:
        return graph
    node = embed_node(config, scoring.reid)
    return with_truth(graph, node, scoring.truths) if node else graph
