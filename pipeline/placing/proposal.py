"""What was found: each stage on each engine, and placements that were run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engines.paired import Pair
from pipeline.config import PipelineConfig
from pipeline.placing.candidates import Change
from pipeline.placing.model import Goal, Placement, Prediction
from pipeline.placing.survey import Row


@dataclass(frozen=True, slots=True)
class Contender:
    """A placement that was run.

    Attributes:
        placement: of the stages to be placed.
        expected: of it, from each stage measured alone.
        config: with it.
        changes: that make it of what is written; empty for that itself.
        precisions: of the stages that compute in another than now, such as ``int8 instead of
            fp32``, by their names.
        ms: measured, median over the rounds: from one frame that comes out to the next, or a
            frame's latency; None where it does not run.
        error: why it does not.
        against: the written one before, this one after; None for that itself, and with an error.
    """

    placement: Placement
    expected: Prediction
    config: PipelineConfig
    changes: tuple[Change, ...]
    precisions: Mapping[str, str]
    ms: float | None = None
    error: str = ""
    against: Pair | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "placement": {name: option._asdict() for name, option in self.placement.items()},
            "expected": asdict(self.expected),
            "set": [str(change) for change in self.changes],
            "precisions": dict(self.precisions),
            "ms": self.ms,
            "error": self.error,
            "against": asdict(self.against) if self.against else None,
        }


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was found.

    Attributes:
        goal: what counted.
        rows: every stage on every engine.
        contenders: the written placement first, then the best on paper; empty where there is
            nothing to choose.
        processors: that the graph's threads got; 0 where nothing was measured.
    """

    goal: Goal
    rows: tuple[Row, ...]
    contenders: tuple[Contender, ...] = ()
    processors: float = 0.0

    @property
    def fastest(self) -> Contender | None:
        """Of those that were run, by the median."""
        return min((c for c in self.contenders if c.ms), key=lambda c: c.ms or 0.0, default=None)

    @property
    def chosen(self) -> Contender | None:
        """What is proposed: the fastest where it surely is faster than the written one, else that.

        None where there is nothing to choose.
        """
        fastest = self.fastest
        if fastest and fastest.against and fastest.against.low > 1:
            return fastest
        return self.contenders[0] if self.contenders else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        chosen = self.chosen
        return {
            "goal": self.goal,
            "processors": self.processors,
            "rows": [row.to_json() for row in self.rows],
            "contenders": [contender.to_json() for contender in self.contenders],
            "chosen": self.contenders.index(chosen) if chosen else None,
        }
