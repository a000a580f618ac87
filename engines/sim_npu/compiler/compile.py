"""From an ONNX file to an artefact: the passes, calibration, integers, segments and schedule."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from hashlib import sha256
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

from engines.convert import graph as onnx_graph
from engines.errors import ProgramError, TensorError
from engines.program import Tensors
from engines.sim_npu.artefact import Artefact
from engines.sim_npu.compiler import calibration, passes, qdq
from engines.sim_npu.compiler.partition import Partition, consolidate, partition
from engines.sim_npu.compiler.quantise import Quantised, quantise
from engines.sim_npu.compiler.schedule import Slot, schedule
from engines.sim_npu.compiler.simulate import Loss, losses
from engines.sim_npu.profiles import Profile
from engines.tensor import TensorSpec

#: What the runtime computes in.
_PRECISION = "int8"


def compile_network(
    path: Path,
    profile: Profile,
    inputs: Iterable[Tensors],
    *,
    method: str = "min-max",
    rounding: str = "fixed",
    keep_float: Collection[str] = (),
    probes: Iterable[Tensors] = (),
) -> Artefact:
    """Compiles a network for a device.

    Args:
        path: ONNX, in float32 or quantised as QDQ.
        profile: of the device.
        inputs: recorded, float32, of the lengths the network shall have on the device; read once.
            Of a network that is quantised already only the first is used.
        method: one of `calibration.METHODS`.
        rounding: one of `operators.ROUNDINGS`.
        keep_float: layers that shall stay on the host.
        probes: inputs to measure the loss with; none to leave it out of the report.

    Raises:
        ProgramError: the network, or something in it, cannot be compiled; names it.
        TensorError: the inputs are of no use, or do not fit the network.
        OptionError: there is no such method.
    """
    if profile.precision != _PRECISION:
        raise ProgramError(
            f"profile {profile.name} computes in {profile.precision}: expected one that computes "
            f"in {_PRECISION}"
        )
    model, recorded = onnx_graph.load(path), iter(inputs)
    first = next(recorded, None)
    if first is None:
        raise TensorError("calibration: expected recorded inputs, there are none")
    _pin(model, first, path)
    changes = passes.run(model, first)
    if qdq.is_quantised(model):
        quantised = quantise(model, {}, qdq.strip(model), rounding, keep_float)
    else:
        histograms = calibration.collect(model, chain([first], recorded))
        ranges = calibration.ranges(histograms, method)
        quantised = quantise(model, ranges, None, rounding, keep_float)
    quantised = consolidate(quantised)
    parts = partition(quantised)
    slots = [schedule(segment.layers, quantised.tensors, profile) for segment in parts.segments]
    report = {
        "calibration": method,
        "passes": [asdict(change) for change in changes],
        **_report(quantised, parts, slots),
        "losses": [_plain(loss) for loss in losses(quantised, probes)],
    }
    return Artefact(
        profile=profile.name,
        profile_sha256=profile.digest,
        rounding=rounding,
        source_sha256=sha256(path.read_bytes()).hexdigest(),
        tensors=quantised.tensors,
        segments=tuple(
            replace(segment, layers=tuple(slot.layer for slot in made))
            for segment, made in zip(parts.segments, slots, strict=True)
        ),
        inputs=tuple(value.name for value in onnx_graph.inputs(model.graph)),
        outputs=tuple(value.name for value in model.graph.output),
        report=report,
    )


def _pin(model: Any, feeds: Tensors, path: Path) -> None:
    """Gives the network's inputs the lengths that were recorded."""
    wanted = {spec.name: spec for spec in map(onnx_graph.spec, onnx_graph.inputs(model.graph))}
    if wanted.keys() != feeds.keys():
        raise TensorError(f"{path}: expected inputs {', '.join(wanted)}, got {', '.join(feeds)}")
    for name, array in feeds.items():
        wanted[name].validate(array)
    onnx_graph.pin(model, [TensorSpec(n, array.shape, array.dtype) for n, array in feeds.items()])


def _report(quantised: Quantised, parts: Partition, slots: list[list[Slot]]) -> dict[str, Any]:
    """What a person wants to know, in plain values."""
    return {
        "host": [asdict(refusal) for refusal in quantised.refusals.values()],
        "cuts": [asdict(cut) for cut in parts.cuts],
        "bytes_copied": parts.bytes_copied,
        "layers": [
            {
                "name": slot.layer.name,
                "operator": slot.layer.operator,
                "start": slot.start,
                "cycles": slot.layer.cycles,
                "macs": slot.macs,
                "intensity": slot.intensity,
                "limit": slot.limit,
                **asdict(slot.tiling),
            }
            for made in slots
            for slot in made
        ],
    }


def _plain(loss: Loss) -> dict[str, Any]:
    """As JSON has it, which knows no infinity."""
    values = asdict(loss)
    return values | {"snr_db": loss.snr_db if isfinite(loss.snr_db) else None}
