"""The reference of all keys, as the Markdown tables in ``docs/configuration.md``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from pipeline.analytics.abandoned import AbandonedSpec
from pipeline.analytics.crowd import CrowdSpec
from pipeline.analytics.direction import DirectionSpec
from pipeline.analytics.ground import GroundSpec
from pipeline.analytics.line import LineSpec
from pipeline.analytics.rule import RuleSpec
from pipeline.analytics.speed import SpeedSpec
from pipeline.analytics.stop import StopSpec
from pipeline.analytics.zone import ZoneSpec
from pipeline.config.schema import (
    BatchRunConfig,
    CameraConfig,
    EngineConfig,
    HttpConfig,
    OutputConfig,
    RunConfig,
)
from pipeline.config.stages import (
    AnalyseConfig,
    BackboneConfig,
    BatchConfig,
    BoxesConfig,
    CameraMotionConfig,
    ClassifyConfig,
    DetectConfig,
    EmbedConfig,
    MatchingConfig,
    MergeConfig,
    PostprocessConfig,
    PreprocessConfig,
    ProposalsConfig,
    RoiAlignConfig,
    RoiHeadConfig,
    StageConfig,
    TrackConfig,
)
from pipeline.output.spec import (
    AnnotateSpec,
    EventsSpec,
    FileSpec,
    PostSpec,
    SecureSpec,
    SpoolSpec,
    UdpSpec,
)
from pipeline.tracking.screening import ScreeningSpec
from pipeline.tracking.spec import RoundSpec
from pipeline.tracking.zones import Zone

_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("cameras: one entry", CameraConfig),
    ("engines: one entry", EngineConfig),
    ("stages: what every stage may say", StageConfig),
    ("stages: preprocess", PreprocessConfig),
    ("stages: detect", DetectConfig),
    ("stages: postprocess", PostprocessConfig),
    ("stages: backbone", BackboneConfig),
    ("stages: proposals", ProposalsConfig),
    ("stages: roi_align", RoiAlignConfig),
    ("stages: roi_head", RoiHeadConfig),
    ("stages: boxes", BoxesConfig),
    ("stages: camera_motion", CameraMotionConfig),
    ("stages: embed", EmbedConfig),
    ("stages: merge", MergeConfig),
    ("stages: track or kalman", TrackConfig),
    ("stages: track: rounds: one entry", RoundSpec),
    ("stages: track: screening", ScreeningSpec),
    ("stages: track: screening: zones: one entry", Zone),
    ("stages: matching", MatchingConfig),
    ("stages: classify", ClassifyConfig),
    ("stages: analyse", AnalyseConfig),
    ("stages: analyse: rules: what every rule may say", RuleSpec),
    ("stages: analyse: rules: line", LineSpec),
    ("stages: analyse: rules: zone", ZoneSpec),
    ("stages: analyse: rules: crowd", CrowdSpec),
    ("stages: analyse: rules: direction", DirectionSpec),
    ("stages: analyse: rules: speed", SpeedSpec),
    ("stages: analyse: rules: stop", StopSpec),
    ("stages: analyse: rules: abandoned", AbandonedSpec),
    ("stages: analyse: ground: one entry", GroundSpec),
    ("stages: networks: batch", BatchConfig),
    ("outputs: one entry", OutputConfig),
    ("outputs: udp", UdpSpec),
    ("outputs: udp: secure", SecureSpec),
    ("outputs: file", FileSpec),
    ("outputs: events", EventsSpec),
    ("outputs: annotate", AnnotateSpec),
    ("outputs: post", PostSpec),
    ("outputs: post: spool", SpoolSpec),
    ("run", RunConfig),
    ("http", HttpConfig),
    ("batch", BatchRunConfig),
)


def reference() -> str:
    """A table for every part of a configuration: key, what it takes, default, meaning."""
    parts = []
    for title, model in _SECTIONS:
        rows = "\n".join(row for key, row in _rows(model) if not _is_common(model, key))
        parts.append(
            f"### {title}\n\n| key | takes | default | meaning |\n|---|---|---|---|\n{rows}"
        )
    return "\n\n".join(parts) + "\n"


def _is_common(model: type[BaseModel], key: str) -> bool:
    """Whether the key is one of every stage, or of every rule, and no different here."""
    for general in (StageConfig, RuleSpec):
        if model is not general and issubclass(model, general):
            if key not in general.model_fields:
                return key == "kind"
            common, own = general.model_fields[key], model.model_fields[key]
            return (common.default, common.description) == (own.default, own.description)
    return False


def _rows(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    schema = model.model_json_schema()
    required = schema.get("required", [])
    for key, node in schema["properties"].items():
        default = "required" if key in required else _default(node.get("default"))
        meaning = " ".join(str(node.get("description", "")).split())
        cells = (f"`{key}`", _takes(node, schema), default, meaning)
        yield key, "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {json.dumps(item)}" for key, item in value.items())
    return f"`{json.dumps(value)}`".replace('"', "")


def _takes(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What may be written there, in words."""
    if reference := node.get("$ref"):
        return _takes(schema["$defs"][reference.rpartition("/")[2]], schema)
    if members := node.get("anyOf"):
        each = (_takes(member, schema) for member in members)
        return " or ".join(dict.fromkeys(word for word in each if word != "null"))
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{word}`" for word in node["enum"])
    kind = node.get("type", "")
    if kind == "array":
        items = _takes(node.get("items", {}), schema)
        return f"list of {items}" if items else "list"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false",
             "object": "mapping"}  # fmt: skip
    return " ".join(filter(None, [words.get(kind, kind), _range(node)]))


def _range(node: Mapping[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f"{low:g}..{high:g}"
    if low is not None:
        return f"≥ {low:g}"
    if (above := node.get("exclusiveMinimum")) is not None:
        return f"> {above:g}"
    return ""
