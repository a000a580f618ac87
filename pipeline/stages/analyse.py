"""analyse: what the tracks mean, by the rules of the configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.analytics.analyser import Analyser, AnalysisSpec, View
from pipeline.analytics.rules import AnyRule
from pipeline.config import AnalyseConfig
from pipeline.config.stages import TrackerConfig
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.planning import Plan, Planner
from pipeline.stage import Stage
from pipeline.tracking.lifecycle import longest_unseen_s


class AnalyseStage(Stage[Tracked, Tracked]):
    """The rules at each camera. What they find is counted by the frames' time alone.

    Args:
        config: with numbers for classes.
        patience_s: the tracker before it gives up what it did not detect for longer, seconds.
    """

    consumes = Tracked
    produces = Tracked
    per_camera = True

    def __init__(self, config: AnalyseConfig, patience_s: float) -> None:
        self._config = config
        self._patience_s = patience_s
        self._analysers: dict[str, Analyser] = {}
        #: Of a stage before this one, of cameras that sent no frame since.
        self._before: dict[str, Analyser] = {}
        self._counts: Counter[str] = Counter({"events": 0})

    def process(self, packet: Packet[Tracked]) -> Iterable[Packet[Tracked]]:
        frame, payload = packet.frame, packet.payload
        view = View(frame.width, frame.height, frame.epoch)
        analysis = self._analyser(frame.camera).step(payload.tracks, frame.pts_ns, view)
        self._counts["events"] += len(analysis.events)
        return (packet.carrying(replace(payload, analysis=analysis)),)

    def succeed(self, before: Stage[Any, Any]) -> None:
        if isinstance(before, AnalyseStage):
            self._before |= before._before | before._analysers

    def forget(self, camera: str) -> None:
        self._analysers.pop(camera, None)
        self._before.pop(camera, None)

    def counts(self) -> Mapping[str, int]:
        return dict(self._counts)

    def _analyser(self, camera: str) -> Analyser:
        """That of the camera; a new one at its first frame."""
        if camera not in self._analysers:
            analyser = Analyser(_spec(self._config, camera, self._patience_s))
            if camera in self._before:
                analyser.adopt(self._before.pop(camera))
            self._analysers[camera] = analyser
        return self._analysers[camera]


def plan(planner: Planner, name: str, config: AnalyseConfig) -> Plan:
    """The stage with the configured rules, behind a tracker."""
    _, tracker = planner.ahead(name, TrackerConfig)
    patience_s = longest_unseen_s(tracker)
    rules = {rule: _numbered(planner, name, rule, spec) for rule, spec in config.rules.items()}
    config = config.model_copy(update={"rules": rules})
    return Plan(AnalyseStage, lambda run: AnalyseStage(config, patience_s))


def _numbered(planner: Planner, name: str, rule: str, spec: AnyRule) -> AnyRule:
    """The rule with numbers for classes. Raises `ConfigError` where the detector has no such."""
    return spec.model_copy(
        update={
            key: planner.numbers(name, getattr(spec, key), "rules", rule, key)
            for key in spec.labelled
        }
    )


def _spec(config: AnalyseConfig, camera: str, patience_s: float) -> AnalysisSpec:
    """What of the configuration is for this camera."""
    ground = (spec for spec in config.ground if spec.cameras is None or camera in spec.cameras)
    return AnalysisSpec(
        {
            name: rule
            for name, rule in config.rules.items()
            if rule.cameras is None or camera in rule.cameras
        },
        next(ground, None),
        config.speed_window_s,
        patience_s,
    )
