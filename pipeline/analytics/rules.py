"""All kinds of rules: what a configuration may say, and what it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from pipeline.analytics.abandoned import AbandonedRule, AbandonedSpec
from pipeline.analytics.crowd import CrowdRule, CrowdSpec
from pipeline.analytics.direction import DirectionRule, DirectionSpec
from pipeline.analytics.line import LineRule, LineSpec
from pipeline.analytics.rule import Rule
from pipeline.analytics.speed import SpeedRule, SpeedSpec
from pipeline.analytics.stop import StopRule, StopSpec
from pipeline.analytics.zone import ZoneRule, ZoneSpec

AnyRule = Annotated[
    LineSpec | ZoneSpec | CrowdSpec | DirectionSpec | SpeedSpec | StopSpec | AbandonedSpec,
    Field(discriminator="kind"),
]

#: By kind.
_RULES: Mapping[str, type[Rule[Any]]] = {
    "line": LineRule,
    "zone": ZoneRule,
    "crowd": CrowdRule,
    "direction": DirectionRule,
    "speed": SpeedRule,
    "stop": StopRule,
    "abandoned": AbandonedRule,
}


def make_rule(name: str, spec: AnyRule) -> Rule[Any]:
    """The rule of that name, for one camera, as configured."""
    return _RULES[spec.kind](name, spec)
