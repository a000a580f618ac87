"""Which choice keeps most of a network's quality: calibration first, then layers left in float.

The calibration that wins is the one whose artefact is best on the device, not the one with the
smallest error in its tensors. Where none is good enough, the layers that are to blame for most of
the loss go to the host, as few of them as will do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from engines.sim_npu.artefact import Artefact
from engines.sim_npu.compiler.calibration import METHODS
from engines.sim_npu.compiler.compile import Choice, Prepared
from pipeline.quantisation.quality import Quality

#: Part of its layers beyond which a network is none for the device.
_MOST = 0.5
_WEIGHTED = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to quantise a network, and what came of it.

    Attributes:
        choice: the way.
        told: the same as far as it was made use of, in plain values.
        quality: on the device.
        device_s: simulated time of one run on the device, seconds.
        on_device: layers of the device.
        on_host: nodes of the host.
        cuts: tensors that go from one segment, or the caller, to another.
        bytes_copied: of these, for one run.
    """

    choice: Choice
    told: dict[str, Any]
    quality: Quality
    device_s: float
    on_device: int
    on_host: int
    cuts: int
    bytes_copied: int

    @classmethod
    def of(cls, choice: Choice, artefact: Artefact, quality: Quality) -> Trial:
        """What an artefact's report and its measured quality say."""
        report = artefact.report
        return cls(
            choice,
            report["choice"],
            quality,
            report["device_s"],
            len(report["layers"]),
            len(report["host"]),
            len(report["cuts"]),
            report["bytes_copied"],
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        values = asdict(self)
        del values["told"], values["quality"]["finer"]  # which may be infinite
        return values | {"choice": self.told}


Attempt = Callable[[Choice], Trial]
#: For each layer the nodes that go to the host with it.
Suspects = Callable[[Choice], Sequence[Collection[str]]]


def choices(base: Choice, method: str | None, per_channel: bool | None) -> list[Choice]:
    """What is tried before any layer is left in float because of its loss.

    Args:
        base: all else.
        method: of calibration; None to try all.
        per_channel: as in `Choice`; None to try both.
    """
    methods = [method] if method else list(METHODS)
    scales = [True, False] if per_channel is None else [per_channel]
    pairs = product(scales, methods)
    return [replace(base, per_channel=scale, method=name) for scale, name in pairs]


def search(
    prepared: Prepared, first: Sequence[Choice], attempt: Attempt, suspects: Suspects, gate: float
) -> list[Trial]:
    """Tries choices until one is good enough; `best` says which one that is.

    Args:
        prepared: the network.
        first: tried all, in this order.
        attempt: makes and measures an artefact.
        suspects: the layers of a choice by what they cost, the worst first, each as the names of
            the nodes that have to stay in float with it.
        gate: lowest quality that is good enough.

    Returns:
        All trials, in the order they were made.
    """
    trials = [attempt(choice) for choice in first]
    start = best(trials, gate)
    if start.quality.value >= gate:
        return trials
    ranked = suspects(start.choice)

    def enough(count: int) -> bool:
        kept = together(prepared.model, start.choice.keep_float.union(*ranked[:count]))
        choice = replace(start.choice, keep_float=kept)
        known = next((trial for trial in trials if trial.choice == choice), None)
        if known is None:  # one layer may have gone with another before its turn
            trials.append(known := attempt(choice))
        return known.quality.value >= gate

    low, high = 0, 1
    while high <= len(ranked) * _MOST:
        if enough(high):
            break
        low, high = high, high * 2
    else:
        return trials
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return trials


def best(trials: Sequence[Trial], gate: float) -> Trial:
    """Of the trials that are good enough the best with fewest layers in float; else the best.

    Among equals it is the first.
    """
    passed = [trial for trial in trials if trial.quality.value >= gate]
    fewest = min((len(trial.choice.keep_float) for trial in passed), default=0)
    leanest = [trial for trial in passed if len(trial.choice.keep_float) == fewest]
    return max(leanest or trials, key=lambda trial: trial.quality.rank)


def together(model: Any, names: Collection[str]) -> frozenset[str]:
    """The nodes of these names and all without weights that read of them alone, by first output.

    An activation behind a layer in float would only cut the network once more, and lose bits.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    kept, made = set[str](), set[str]()
    for node in model.graph.node:
        read = {name for name in node.input if name} - known
        follows = node.op_type not in _WEIGHTED and read and read <= made
        if follows or not {node.name, *node.output}.isdisjoint(names):
            kept.add(node.output[0])
            made.update(node.output)
    return frozenset(kept)
