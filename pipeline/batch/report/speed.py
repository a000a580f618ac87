"""How fast a batch went, and what held it up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.page import charts
from pipeline.page.numbers import clock, decimal, quantity, share

_LEAST_BUSY = 0.01


def speed(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """Figures, and the stages by the part of all processor time that they took.

    Args:
        run: as ``run.json`` has it.

    Returns:
        None where the run had nothing to do.
    """
    if not run.get("frames"):
        return None
    facts = [
        ("Speed", f"{decimal(run['speed'])} × real time"),
        ("Frames a second", decimal(run["fps"])),
        ("Took", clock(run["wall_s"])),
        ("Processors busy", share(run["efficiency"])),
        ("Processes", f"{run['processes']} on {run['cores']} processors"),
        ("Memory at most", quantity(run["peak_bytes"], "B")),
        ("Frames", str(run["frames"])),
        ("Frames without a result", str(run["dropped"])),
    ]
    shown = [stage for stage in run["stages"] if stage["busy"] >= _LEAST_BUSY]
    return {
        "facts": facts,
        "made": run["made"],
        "bottleneck": run["bottleneck"],
        "stages": [
            (stage, charts.bar(min(stage["busy"], 1.0), f"{stage['name']}: {share(stage['busy'])}"))
            for stage in shown
        ],
        "left_out": len(run["stages"]) - len(shown),
    }
