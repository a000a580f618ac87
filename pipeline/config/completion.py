"""From what was written to what is built: every stage there, with its place, model and engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pipeline.config.chain import chain
from pipeline.config.checks import DECODE, is_chain
from pipeline.config.document import Document
from pipeline.config.schema import OutputConfig, PipelineConfig
from pipeline.config.stages import (
    AnyStage,
    BackboneConfig,
    BoxesConfig,
    DetectConfig,
    KalmanConfig,
    MatchingConfig,
    NetworkConfig,
    PostprocessConfig,
    PreprocessConfig,
    ProposalsConfig,
    RoiAlignConfig,
    ScreeningConfig,
    TrackConfig,
)

_Stages = dict[str, AnyStage]

#: What a chain needs and may be left unwritten.
_DEFAULTS: Mapping[str, Callable[[], AnyStage]] = {
    "preprocess": PreprocessConfig,
    "postprocess": PostprocessConfig,
    "proposals": ProposalsConfig,
    "roi_align": RoiAlignConfig,
    "boxes": BoxesConfig,
    "track": TrackConfig,
    "kalman": KalmanConfig,
    "matching": MatchingConfig,
    "screening": ScreeningConfig,
}


def complete(config: PipelineConfig, document: Document) -> PipelineConfig:
    """The configuration with everything in it that was left to defaults.

    Args:
        config: valid, and its references checked.
        document: gets the problems of what cannot be filled in.
    """
    stages = dict(config.stages)
    if is_chain({name: {"after": stage.after} for name, stage in stages.items()}):
        stages = _chained(stages)
    stages = {name: _with_engine(stage, list(config.engines)) for name, stage in stages.items()}
    stages = {name: _with_model(name, stages, document) for name in stages}
    outputs = _with_ends(config.outputs, stages, document)
    return config.model_copy(update={"stages": stages, "outputs": outputs})


def _chained(written: _Stages) -> _Stages:
    """The default chain: what was written, and between it what such a chain needs."""
    stages: _Stages = {}
    before = DECODE
    for name in chain(written):
        stage = written.get(name) or _DEFAULTS[name]()
        stages[name] = stage.model_copy(update={"after": (before,)})
        before = name
    return stages


def _with_engine(stage: AnyStage, engines: list[str]) -> AnyStage:
    if isinstance(stage, NetworkConfig) and not stage.engine:
        return stage.model_copy(update={"engine": (engines[0],)})
    return stage


def _with_model(name: str, stages: _Stages, document: Document) -> AnyStage:
    """The stage with the model of the detector whose input it makes or whose output it reads."""
    stage = stages[name]
    if not isinstance(stage, PreprocessConfig | PostprocessConfig) or stage.model:
        return stage
    ahead = isinstance(stage, PreprocessConfig)
    neighbours = _following(stages) if ahead else _leading(stages)
    detectors = dict(_detectors(name, neighbours, stages))
    models = {(detector.model, detector.weights) for detector in detectors.values()}
    if len(models) != 1:
        where = "behind" if ahead else "before"
        found = f"{len(models)} models {where} it" if models else f"no detector {where} it"
        document.complain(("stages", name, "model"), "is missing", f"there is {found}: name one")
        return stage
    for key in ("model", "weights"):
        document.origins["stages", name, key] = ("stages", min(detectors), key)
    model, weights = models.pop()
    return stage.model_copy(update={"model": model, "weights": weights})


def _leading(stages: _Stages) -> Callable[[str], tuple[str, ...]]:
    return lambda name: tuple(n for n in stages[name].after if n in stages)


def _following(stages: _Stages) -> Callable[[str], tuple[str, ...]]:
    return lambda name: tuple(n for n, stage in stages.items() if name in stage.after)


def _detectors(
    name: str, neighbours: Callable[[str], tuple[str, ...]], stages: _Stages
) -> Iterator[tuple[str, DetectConfig | BackboneConfig]]:
    """The nearest detectors on every way from `name`, with their names."""
    for neighbour in neighbours(name):
        stage = stages[neighbour]
        if isinstance(stage, DetectConfig | BackboneConfig):
            yield neighbour, stage
        else:
            yield from _detectors(neighbour, neighbours, stages)


def _with_ends(
    outputs: tuple[OutputConfig, ...], stages: _Stages, document: Document
) -> tuple[OutputConfig, ...]:
    """The outputs, each with the stage it takes its packets from."""
    ends = [name for name in stages if not _following(stages)(name)]
    if len(ends) > 1:
        for index in (i for i, output in enumerate(outputs) if not output.after):
            remedy = f"say which stage's results it takes: {', '.join(ends)}"
            document.complain(("outputs", index, "after"), "is missing", remedy)
    return tuple(
        output if output.after else output.model_copy(update={"after": ends[0]})
        for output in outputs
    )
