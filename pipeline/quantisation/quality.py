"""How good a network in eight bits is, by what it is for: detections, embeddings, or tensors.

A judge has seen what the source network makes of the held-out samples, and is shown what the
device makes of them. Quality is the share that is kept, 1 where nothing is lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

import engines
from engines import Network
from engines.difference import Difference
from engines.sim_npu import artefact as artefacts
from engines.sim_npu.artefact import Artefact
from engines.sim_npu.profiles import find
from pipeline.detection.boxes import iou_matrix
from pipeline.detection.detections import Detections
from pipeline.detection.postprocess import Postprocessor, single
from pipeline.detection.proposals import Proposals, propose
from pipeline.errors import DataError
from pipeline.evaluation.detection_ap import average_precisions
from pipeline.evaluation.mot_files import (
    ANY_CLASS,
    MotTable,
    of_classes,
    rows_of_frame,
    table_from_rows,
)
from pipeline.models.comparison import run
from pipeline.models.halves import RpnEntry
from pipeline.models.manifest import Manifest
from pipeline.models.samples import Tensors
from pipeline.quantisation.inputs import Material, Sample
from pipeline.tracking.gallery import normalised

#: A detection is an object from here on, and below the fainter one it is nothing.
SURE, FAINT = 0.25, 0.05
#: From which a detection is a hit: for what counts, and for what tells two choices apart.
OVERLAPS = (0.5, 0.75)
FINER = tuple(np.arange(0.5, 1, 0.05).tolist())

#: Proposals of a picture that count where the source network is sure of none.
_BEST = 10

Outputs = Sequence[Tensors]


@dataclass(frozen=True, slots=True)
class Quality:
    """What is kept of a network's quality in eight bits.

    Attributes:
        value: share that is kept; 1 is all, and a lucky network may keep more.
        finer: tells two of the same value apart; higher is better.
        figures: what both are made of, by name.
    """

    value: float
    finer: float
    figures: dict[str, float]

    @property
    def rank(self) -> tuple[float, float]:
        """Sorts from worst to best; what is less than a percent is left to the finer measure."""
        return round(self.value, 2), self.finer


class Judge(ABC):
    """Compares what a device makes of the held-out samples with what it should make.

    Attributes:
        measure: what `Quality.value` is, for people.
        gate: the lowest value that is good enough where nobody says another.
    """

    measure: str
    gate: float

    @abstractmethod
    def __call__(self, found: Outputs) -> Quality:
        """The quality of these outputs, one a sample, by name."""


class DetectorJudge(Judge):
    """Average precision of the detections: the mean of those at overlaps of 0.5 and of 0.75.

    What the source network is sure of has to be found; what it is less sure of is neither demanded
    nor counted as wrong. Where ground truth is known, the precision against that must not
    drop either: the lesser share counts.

    At 0.5 alone boxes may move far: a YOLOX-nano that kept 97 % of that lost 10 points of HOTA on
    another video, and 1.3 points where it kept 97 % of this mean.

    Args:
        manifest: of the detector.
        material: with the held-out samples.
        expected: the source network's outputs.
        classes: names of those that count; None for all.

    Raises:
        DataError: the network finds nothing.
        ConfigError: it does not know such a class.
    """

    gate = 0.95

    def __init__(
        self,
        manifest: Manifest,
        material: Material,
        expected: Outputs,
        classes: Sequence[str] | None = None,
    ) -> None:
        assert manifest.head is not None  # `load_model` refuses such a manifest
        labels = manifest.class_names
        self._decode = Postprocessor(manifest.head, labels, score=FAINT, classes=classes)
        self._samples = material.held_out
        exact = self._table(expected)
        self._sure = replace(exact, scores=np.asarray(exact.scores >= SURE, np.float64))
        if not self._sure.scores.any():
            raise DataError(
                f"{material.told}: the network finds nothing there; calibrate with pictures of "
                f"what it is for: {', '.join(classes or labels)[:60]} …"
            )
        self.measure, self._base = (
            "mean of AP50 and AP75 against what the source network finds",
            0.0,
        )
        if truth := material.truth:
            named, wanted = truth.numbers, classes or labels
            self._numbers = np.array([named.get(label, 0) for label in labels]) if named else None
            rows = truth.over({sample.frame for sample in self._samples})
            self._truth = of_classes(rows, [named[name] for name in wanted if name in named])
            self._base = _precision(self._truth, self._whole(expected))
        if self._base > 0:
            self.measure += f" and, as a share of its own, against {truth and truth.source}"

    def __call__(self, found: Outputs) -> Quality:
        table = self._table(found)
        agreed = {iou: _mean_ap(self._sure, table, iou) for iou in OVERLAPS}
        finer = float(np.mean([_mean_ap(self._sure, table, iou) for iou in FINER]))
        figures = {f"AP{100 * iou:g} agreement": value for iou, value in agreed.items()}
        value = float(np.mean(list(agreed.values())))
        if self._base > 0:
            right = _precision(self._truth, self._whole(found))
            figures |= {"AP": right, "AP of source": self._base}
            value = min(value, right / self._base)
        return Quality(value, finer, figures)

    def _table(self, outputs: Outputs) -> MotTable:
        """All detections, sample by sample; classes count from 1."""
        rows = [np.empty((0, 8))]
        for place, found in enumerate(self._detections(outputs)):
            boxes, labels = found.boxes_xyxy, found.labels + 1
            rows.append(rows_of_frame(place, -1, boxes, found.scores, labels))
        return table_from_rows(np.concatenate(rows), "detections")

    def _whole(self, outputs: Outputs) -> MotTable:
        """The detections in whole pictures, by frame, with the ground truth's classes."""
        rows = [np.empty((0, 8))]
        for sample, found in zip(self._samples, self._detections(outputs), strict=True):
            if sample.zoom == 1:
                numbers = ANY_CLASS if self._numbers is None else self._numbers[found.labels]
                boxes = found.boxes_xyxy
                rows.append(rows_of_frame(sample.frame, -1, boxes, found.scores, numbers))
        return table_from_rows(np.concatenate(rows), "detections")

    def _detections(self, outputs: Outputs) -> Iterator[Detections]:
        for sample, tensors in zip(self._samples, outputs, strict=True):
            assert sample.placement is not None  # a detector sees pictures
            yield self._decode(tensors, sample.placement)


class EmbedderJudge(Judge):
    """Whether embeddings point where they did, and find the same object again.

    Args:
        samples: the held-out crops.
        expected: what the source network makes of them.
    """

    measure = "the lesser of mean cosine and rank-1, against the source network"
    gate = 0.97

    def __init__(self, samples: Sequence[Sample], expected: Outputs) -> None:
        self._exact = _embeddings(expected)
        self._ids = np.array([sample.identity for sample in samples])
        self._frames = np.array([sample.frame for sample in samples])
        self._base = self._rank_one(self._exact)

    def __call__(self, found: Outputs) -> Quality:
        embeddings = _embeddings(found)
        cosine = float((embeddings * self._exact).sum(1).mean())
        right = self._rank_one(embeddings)
        if right is None or not self._base:
            return Quality(cosine, cosine, {"cosine": cosine})
        return Quality(
            min(cosine, right / self._base),
            cosine,
            {"cosine": cosine, "rank-1": right, "rank-1 of source": self._base},
        )

    def _rank_one(self, embeddings: NDArray[np.float32]) -> float | None:
        """How often the nearest crop of other frames is of the same object.

        Of those crops that have one there; None where no object is known twice.
        """
        cosines = embeddings @ embeddings.T
        cosines[self._frames[:, None] == self._frames] = -np.inf
        same = (self._ids[:, None] == self._ids) & (cosines > -np.inf)
        asked = same.any(1) & (self._ids >= 0)
        right = np.take_along_axis(same, cosines.argmax(1)[:, None], 1)[:, 0]
        return float(right[asked].mean()) if asked.any() else None


class ProposalJudge(Judge):
    """Whether the same places are proposed, and their features point where they did.

    Of the source network's proposals those count that it would itself rather call an object than
    background; where there are none, the best ten of each picture.

    Args:
        rpn: how outputs become proposals.
        samples: the held-out pictures.
        expected: what the source network makes of them.
    """

    measure = (
        "the lesser of the features' cosine and the share of proposals that are found again, the "
        "mean at overlaps of 0.5 and 0.75, against the source network"
    )
    gate = 0.95

    def __init__(self, rpn: RpnEntry, samples: Sequence[Sample], expected: Outputs) -> None:
        self._rpn = rpn
        self._samples = samples
        self._expected = expected
        self._wanted = [
            found.boxes_xyxy[: max(int((found.objectness > 0).sum()), _BEST)]
            for found in self._proposals(expected)
        ]

    def __call__(self, found: Outputs) -> Quality:
        overlaps = np.concatenate(
            [
                iou_matrix(wanted, again.boxes_xyxy).max(axis=1, initial=0)
                for wanted, again in zip(self._wanted, self._proposals(found), strict=True)
            ]
        )
        recalls = {iou: float((overlaps >= iou).mean()) for iou in OVERLAPS}
        apart = {name: Difference() for name in self._rpn.pooled_names}
        for exact, ours in zip(self._expected, found, strict=True):
            for name, difference in apart.items():
                difference.add(exact[name], ours[name])
        figures = {f"proposals found at {iou:g}": value for iou, value in recalls.items()}
        figures |= {f"cosine {name}": one.cosine for name, one in apart.items()}
        recall, cosine = fmean(recalls.values()), min(one.cosine for one in apart.values())
        return Quality(min(recall, cosine), float(overlaps.mean()), figures)

    def _proposals(self, outputs: Outputs) -> Iterator[Proposals]:
        for sample, tensors in zip(self._samples, outputs, strict=True):
            placement = sample.placement
            assert placement is not None  # such a network sees pictures
            maps = single(tensors)
            yield propose(
                self._rpn.spec,
                [maps[level.objectness] for level in self._rpn.levels],
                [maps[level.deltas] for level in self._rpn.levels],
                placement.input_width,
                placement.input_height,
            )


class TensorJudge(Judge):
    """The direction of the worst output, of a network nobody says more of.

    Args:
        expected: the source network's outputs.
    """

    measure = "cosine of the worst output, against the source network"
    gate = 0.99

    def __init__(self, expected: Outputs) -> None:
        self._expected = expected

    def __call__(self, found: Outputs) -> Quality:
        apart = {name: Difference() for name in self._expected[0]}
        for exact, ours in zip(self._expected, found, strict=True):
            for name, difference in apart.items():
                difference.add(exact[name], ours[name])
        figures = {f"cosine {name}": one.cosine for name, one in apart.items()}
        decibels = {name: one.snr_db for name, one in apart.items()}
        figures |= {f"SNR {name}": value for name, value in decibels.items() if isfinite(value)}
        return Quality(min(one.cosine for one in apart.values()), min(decibels.values()), figures)


def judge_of(
    manifest: Manifest | None,
    material: Material,
    expected: Outputs,
    classes: Sequence[str] | None = None,
) -> Judge:
    """The judge for a network.

    Args:
        manifest: of its model; None where there is none.
        material: with the held-out samples.
        expected: what the source network makes of these.
        classes: of a detector, those that count; None for all.

    Raises:
        DataError: a detector has nothing to find.
        ConfigError: it does not know such a class.
    """
    if manifest is not None and manifest.task == "embed":
        return EmbedderJudge(material.held_out, expected)
    if manifest is not None and manifest.rpn is not None:
        return ProposalJudge(manifest.rpn, material.held_out, expected)
    if manifest is not None and material.held_out[0].placement is not None:
        return DetectorJudge(manifest, material, expected, classes)
    return TensorJudge(expected)


def on_device(artefact: Artefact, profile: str, samples: Sequence[Sample]) -> Outputs:
    """What the simulated device makes of each sample, in float32.

    Args:
        artefact: compiled for the profile.
        profile: as an engine takes it: a name, or a YAML file.
        samples: with every input of the network.

    Raises:
        EngineError: it does not run.
    """
    with TemporaryDirectory(prefix="sightline-compile-") as folder:
        path = Path(folder) / "trial.slnpu"
        artefacts.write(artefact, path)
        network = Network(
            path, artefacts.TARGET, precision=find(profile).precision, target=artefact.profile
        )
        engine = engines.create("compile", artefacts.TARGET, profile=profile)
        return run(engine, network, (sample.tensors for sample in samples))


def _precision(truth: MotTable, found: MotTable) -> float:
    """Mean over `OVERLAPS`."""
    return float(np.mean([_mean_ap(truth, found, iou) for iou in OVERLAPS]))


def _mean_ap(truth: MotTable, found: MotTable, iou: float) -> float:
    """Mean over all classes, each counting by how many objects of it there are to find.

    So a class that is seen once does not weigh as much as one seen a hundred times.
    """
    by_class = average_precisions(truth, found, iou)
    if ANY_CLASS in by_class:
        return by_class[ANY_CLASS]
    counts = [int((of_classes(truth, [label]).scores != 0).sum()) for label in by_class]
    return float(np.average(list(by_class.values()), weights=counts)) if by_class else 0.0


def _embeddings(outputs: Outputs) -> NDArray[np.float32]:
    """(N, D), each of length 1, of the first output."""
    rows = [next(iter(tensors.values())).reshape(1, -1) for tensors in outputs]
    return normalised(np.concatenate(rows).astype(np.float32))
