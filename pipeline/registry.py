"""The kinds of stages a configuration may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.planning import Plan, Planner
from pipeline.stages import (
    analyse,
    boxes,
    camera_motion,
    classify,
    detect,
    embed,
    kalman,
    matching,
    merge,
    postprocess,
    preprocess,
    proposals,
    roi_align,
    roi_head,
    screening,
    track,
)

#: By kind: what makes a plan of (planner, the stage's name, its configuration).
STAGES: Mapping[str, Callable[[Planner, str, Any], Plan]] = {
    "preprocess": preprocess.plan,
    "detect": detect.plan,
    "postprocess": postprocess.plan,
    "backbone": detect.plan,
    "proposals": proposals.plan,
    "roi_align": roi_align.plan,
    "roi_head": roi_head.plan,
    "boxes": boxes.plan,
    "camera_motion": camera_motion.plan,
    "embed": embed.plan,
    "merge": merge.plan,
    "track": track.plan,
    "kalman": kalman.plan,
    "matching": matching.plan,
    "screening": screening.plan,
    "classify": classify.plan,
    "analyse": analyse.plan,
}
