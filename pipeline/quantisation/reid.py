"""Whether a ReID network finds an object again: the ground truth's boxes, some time apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.config import EmbedConfig, PipelineConfig
from pipeline.config.stages import NetworkConfig
from pipeline.detection.detections import Detections
from pipeline.graph import SOURCES, Graph, Node
from pipeline.packet import Packet
from pipeline.payloads import Decoded, Detected
from pipeline.planning import Planner
from pipeline.quantisation.truth import Truth
from pipeline.registry import STAGES
from pipeline.serial import Step
from pipeline.stage import Run, Stage

#: The stages that are added to a graph; a configuration's own have no spaces in their names.
TRUTH, EMBED = "ground truth", "embed of ground truth"
#: Frames from a query to its gallery, and how many of them there are from query to query.
GAP, QUERIES_PER_GAP = 25, 5
_STEP = GAP // QUERIES_PER_GAP


class TruthStage(Stage[Decoded, Detected]):
    """Hands on the scored objects of every few frames, as if a detector had found them.

    Args:
        truths: by camera; of others nothing is handed on.
    """

    consumes = Decoded
    produces = Detected

    def __init__(self, truths: Mapping[str, Truth]) -> None:
        self._truths = truths

    def process(self, packet: Packet[Decoded]) -> Sequence[Packet[Detected]]:
        truth = self._truths.get(packet.frame.camera)
        if truth is None or packet.frame.index % _STEP:
            return ()
        objects = truth.objects(packet.frame.index)
        sure = np.ones(len(objects), np.float32)
        found = Detections(objects.boxes_xyxy, sure, objects.classes.astype(np.int32))
        return (packet.carrying(Detected(packet.payload.picture, found)),)


def with_truth(graph: Graph, node: Node, truths: Mapping[str, Truth]) -> Graph:
    """The graph, in which the network of a stage `embed` also looks at the ground truth."""

    def make(run: Run) -> TruthStage:
        return TruthStage(truths)

    cut = Node(TRUTH, TruthStage, make, (SOURCES,))
    return graph.with_node(cut).with_node(replace(node, name=EMBED, after=(TRUTH,)))


def embed_node(config: PipelineConfig, model: str) -> Node | None:
    """A stage with a ReID network that looks at everything; None where there is none.

    Args:
        config: has the engine, that of its first network.
        model: name of the network; empty for the configuration's own, on its own engine.

    Raises:
        ConfigError: there is no such model, it is not for this, or the engine cannot run it.
    """
    stages = config.stages.values()
    embed = next((s for s in reversed(stages) if isinstance(s, EmbedConfig)), None)
    if model:
        engine = next(stage.engine for stage in stages if isinstance(stage, NetworkConfig))
        embed = EmbedConfig(model=model, engine=engine)
    if embed is None:
        return None
    thorough = embed.model_copy(update={"when": "always"})
    plan = STAGES["embed"](Planner(config), "embed", thorough)
    return Node(EMBED, plan.stage, plan.make, (TRUTH,), binding=plan.binding)


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """The scored objects of one frame.

    Attributes:
        ids: (N,) int64, identities.
        classes: (N,) int64.
        embeddings: (N, D) float32, L2-normalised; None where the engine failed.
    """

    ids: NDArray[np.int64]
    classes: NDArray[np.int64]
    embeddings: NDArray[np.float32] | None


class Looks:
    """How the ground truth's objects look to one side's network, collected step by step.

    Args:
        truths: by camera.
    """

    def __init__(self, truths: Mapping[str, Truth]) -> None:
        self._truths = truths
        self.crops: dict[tuple[str, int], Crops] = {}

    def add(self, step: Step) -> None:
        """Adds what the added stages gave for one frame, if anything."""
        for packet in step.get(EMBED, ()):
            frame = packet.frame
            objects = self._truths[frame.camera].objects(frame.index)
            if len(objects):
                seen = Crops(objects.ids, objects.classes, packet.payload.embeddings)
                self.crops[frame.camera, frame.index] = seen

    def rank_one(self) -> float:
        """Share of the queries whose nearest object `GAP` frames later is the same, 0..1.

        Asked is for objects that are there again, among others of their class. A query that the
        network failed on is answered wrong. NaN where nothing could be asked.
        """
        answers = [
            answer
            for (camera, index), crops in self.crops.items()
            if (later := self.crops.get((camera, index + GAP))) is not None
            for answer in _answers(crops, later)
        ]
        return float(np.mean(answers)) if answers else float("nan")


def mean_cosine(one: Looks, other: Looks) -> float:
    """Between the two embeddings of an object, over all; 0 where only one of them is there.

    NaN where there is no object.
    """
    cosines = [_cosines(crops, other.crops[key]) for key, crops in one.crops.items()]
    return float(np.concatenate(cosines).mean()) if cosines else float("nan")


def _cosines(one: Crops, other: Crops) -> NDArray[np.float64]:
    if one.embeddings is None or other.embeddings is None:
        return np.zeros(len(one.ids))
    return np.asarray((one.embeddings * other.embeddings).sum(1, np.float64))


def _answers(query: Crops, gallery: Crops) -> list[bool]:
    """For each query whether it was answered right."""
    answers = []
    for row, (identity, label) in enumerate(zip(query.ids, query.classes, strict=True)):
        rivals = np.flatnonzero(gallery.classes == label)
        if identity not in gallery.ids[rivals] or len(rivals) < 2:
            continue
        if query.embeddings is None or gallery.embeddings is None:
            answers.append(False)
            continue
        nearest = rivals[(gallery.embeddings[rivals] @ query.embeddings[row]).argmax()]
        answers.append(bool(gallery.ids[nearest] == identity))
    return answers
