"""The kinds of stages a configuration may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.planning import Plan, Planner
from pipeline.stages import camera_motion, detect, embed, merge, postprocess, preprocess, track

#: By kind: what makes a plan of (planner, the stage's name, its configuration).
STAGES: Mapping[str, Callable[[Planner, str, Any], Plan]] = {
    "preprocess": preprocess.plan,
    "detect": detect.plan,
    "postprocess": postprocess.plan,
    "camera_motion": camera_motion.plan,
    "embed": embed.plan,
    "merge": merge.plan,
    "track": track.plan,
}
