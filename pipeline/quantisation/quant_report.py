"""What fewer bits cost, from tensors to tracks: two bindings over the same frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from math import isfinite
from typing import Any

import numpy as np

from engines.difference import Difference
from pipeline.config import CameraConfig, PipelineConfig
from pipeline.errors import DataError
from pipeline.graph import Graph
from pipeline.media.uri import scheme_of
from pipeline.parity import require_recorded
from pipeline.payloads import ModelInput, ModelOutput
from pipeline.quantisation.figures import Figure
from pipeline.quantisation.scores import agreement_by_frame, figures_of, rules_of
from pipeline.quantisation.sides import Collected, Scoring, Side
from pipeline.serial import Step, run_serially


@dataclass(frozen=True, slots=True)
class QuantReport:
    """What a candidate costs against a reference.

    Attributes:
        frames: that both sides ran.
        truths: where each scored camera's ground truth is from.
        tensors: the candidate's outputs against the reference's, by stage and tensor. A frame on
            which the network's inputs differ, or one side is blind, does not count.
        figures: those that could be worked out, in the order of `figures.FIGURES`.
        agreement: of each camera's frames in turn; see `scores.agreement_by_frame`.
        reference: what ran.
        candidate: what ran.
    """

    frames: int
    truths: dict[str, str]
    tensors: dict[tuple[str, str], Difference]
    figures: tuple[Figure, ...]
    agreement: dict[str, list[float]]
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
            {
                "frames": self.frames,
                "truths": self.truths,
                "tensors": tensors,
                "figures": figures,
                "agreement": self.agreement,
                "reference": asdict(self.reference),
                "candidate": asdict(self.candidate),
            }
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
        DataError: the ground truth does not fit, the sides have other cameras, or one of
            these never ends and `frames` is None.
        GraphError: a camera is live.
        SourceError, StageError: a camera or a stage of either does not open.
    """
    if reference.cameras != candidate.cameras:
        raise DataError("the reference and the candidate have other cameras: see --candidate-set")
    if frames is None:
        _require_ends(reference.cameras)
    rules = rules_of(reference, scoring)
    one, other = Collected(reference, scoring), Collected(candidate, scoring)
    require_recorded(one.graph)
    tensors: dict[tuple[str, str], Difference] = defaultdict(Difference)
    with run_serially(one.graph) as left, run_serially(other.graph) as right:
        for steps in islice(zip(left, right, strict=True), frames):
            one.add(steps[0])
            other.add(steps[1])
            _compare(one.graph, *steps, tensors)
        sides = one.side(left), other.side(right)
    figures = tuple(figures_of(one, other, rules, scoring.truths))
    agreed = agreement_by_frame(one, other)
    truths = {camera: truth.source for camera, truth in scoring.truths.items()}
    count = sum(map(len, one.frames.values()))
    return QuantReport(count, truths, dict(tensors), figures, agreed, *sides)


def _require_ends(cameras: Iterable[CameraConfig]) -> None:
    """Raises `DataError` for a camera that would never stop giving frames."""
    for camera in cameras:
        rendered = scheme_of(camera.uri) == "rendered" and "seconds=" not in camera.uri
        if camera.loop or rendered:
            raise DataError(f"camera {camera.id!r} never ends; say how many frames: --frames 500")


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
            for name in (name for name in expected if name in found):
                tensors[node.name, name].add(expected[name], found[name])


def _same(one: Step, other: Step, stage: str) -> bool:
    """Whether a stage gave both sides the same network inputs."""
    pairs = zip(one.get(stage, ()), other.get(stage, ()), strict=True)
    payloads = [(a.payload, b.payload) for a, b in pairs]
    return all(
        isinstance(a, ModelInput) and np.array_equal(a.tensor, b.tensor) for a, b in payloads
    )


def _finite(value: Any) -> Any:
    """The value with None for every number in it that is not finite."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
