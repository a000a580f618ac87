"""The configuration: YAML in, one strict and frozen object out, or located errors.

===============  ===================================================================
`loading`        the steps from a file to a `PipelineConfig`
`schema`         what may be written: every key, unit and default; `stages`, `base`
`document`       YAML to values that remember their lines
`variables`      ``${NAME}`` and what must never be shown
`overrides`      ``--set key=value``
`overlay`        cameras added, removed and paused at run time
`checks`         what one key says about another
`complaints`     pydantic's findings in people's words
`chain`          the stages of a chain, and their order
`completion`     defaults that depend on other keys
===============  ===================================================================
"""

from pipeline.config.loading import json_schema, load, loads, read
from pipeline.config.overlay import Overlay
from pipeline.config.problem import Place, Problem
from pipeline.config.schema import (
    BatchRunConfig,
    CameraConfig,
    EngineConfig,
    HttpConfig,
    OutputConfig,
    PipelineConfig,
    RunConfig,
)
from pipeline.config.stages import (
    AnalyseConfig,
    AnyStage,
    BackboneConfig,
    BatchConfig,
    BoxesConfig,
    CameraMotionConfig,
    ClassifyConfig,
    DetectConfig,
    EmbedConfig,
    KalmanConfig,
    MatchingConfig,
    MergeConfig,
    PostprocessConfig,
    PreprocessConfig,
    ProposalsConfig,
    RoiAlignConfig,
    RoiHeadConfig,
    ScreeningConfig,
    TrackConfig,
)

__all__ = [
    "AnalyseConfig",
    "AnyStage",
    "BackboneConfig",
    "BatchConfig",
    "BatchRunConfig",
    "BoxesConfig",
    "CameraConfig",
    "CameraMotionConfig",
    "ClassifyConfig",
    "DetectConfig",
    "EmbedConfig",
    "EngineConfig",
    "HttpConfig",
    "KalmanConfig",
    "MatchingConfig",
    "MergeConfig",
    "OutputConfig",
    "Overlay",
    "PipelineConfig",
    "Place",
    "PostprocessConfig",
    "PreprocessConfig",
    "Problem",
    "ProposalsConfig",
    "RoiAlignConfig",
    "RoiHeadConfig",
    "RunConfig",
    "ScreeningConfig",
    "TrackConfig",
    "json_schema",
    "load",
    "loads",
    "read",
]
