"""From an ONNX file to an artefact: the passes, calibration, integers, segments and schedule.

`prepare` does once what is the same for every choice, `quantised` and `finish` what a choice makes
of it, so that many can be tried.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engines.convert import graph as onnx_graph
from engines.errors import ProgramError, TensorError
from engines.program import Tensors
from engines.sharing import file_sha256
from engines.sim_npu.artefact import Artefact, Segment
from engines.sim_npu.compiler import calibration, passes, qdq
from engines.sim_npu.compiler.calibration import Range
from engines.sim_npu.compiler.correction import correct_biases
from engines.sim_npu.compiler.equalise import equalise
from engines.sim_npu.compiler.floating import in_floats
from engines.sim_npu.compiler.histogram import Histogram
from engines.sim_npu.compiler.inspection import inspect
from engines.sim_npu.compiler.partition import Partition, consolidate, partition
from engines.sim_npu.compiler.passes import PassReport
from engines.sim_npu.compiler.qdq import Given
from engines.sim_npu.compiler.quantise import Quantised, quantise
from engines.sim_npu.compiler.schedule import Slot, schedule
from engines.sim_npu.compiler.tiling import WEIGHTED
from engines.sim_npu.profiles import Profile
from engines.tensor import TensorSpec

#: What most devices compute in; others take the network as it is, in floats.
_INTEGERS = "int8"
#: Instead of a method, in the report of a network that came quantised.
_GIVEN = "as given"
#: Recorded inputs, evenly chosen, that channels are equalised and biases are corrected with.
_FEW = 16


@dataclass(frozen=True, slots=True)
class Choice:
    """How a network is quantised.

    Attributes:
        method: one of `calibration.METHODS`; of no account in a network that came quantised.
        per_channel: whether weights have a scale for each output channel, or one a layer.
        rounding: one of `operators.ROUNDINGS`.
        keep_float: layers that stay on the host, by name or by the name of an output.
    """

    method: str = "min-max"
    per_channel: bool = True
    rounding: str = "fixed"
    keep_float: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network that is ready to be quantised in any way.

    Attributes:
        path: of the ONNX file.
        model: an `onnx.ModelProto` in float32, after the passes and, where it was not quantised,
            with equalised channels; all shapes known.
        changes: what the passes did.
        histograms: of every float tensor over the recorded inputs; empty where `given`.
        given: what a network that came quantised says of its numbers; None for one in float32.
        fitted: ranges that equalisation has settled.
        few: of the recorded inputs.
    """

    path: Path
    model: Any
    changes: tuple[PassReport, ...]
    histograms: dict[str, Histogram]
    given: Given | None
    fitted: dict[str, Range]
    few: list[Tensors] = field(repr=False)
    _ranges: dict[str, dict[str, Range]] = field(default_factory=dict, init=False, repr=False)

    def ranges(self, method: str) -> dict[str, Range]:
        """Of every float tensor by this method, worked out once. Raises `OptionError`."""
        if method not in self._ranges:
            self._ranges[method] = calibration.ranges(self.histograms, method) | self.fitted
        return self._ranges[method]


def compile_network(
    path: Path,
    profile: Profile,
    inputs: Iterable[Tensors],
    *,
    method: str = "min-max",
    per_channel: bool = True,
    rounding: str = "fixed",
    keep_float: Collection[str] = (),
    probes: Iterable[Tensors] = (),
) -> Artefact:
    """Compiles a network for a device, in one way: `prepare` and `finish`.

    Args:
        path: see `prepare`.
        profile: of the device.
        inputs: see `prepare`.
        method: see `Choice`.
        per_channel: see `Choice`.
        rounding: see `Choice`.
        keep_float: see `Choice`.
        probes: see `finish`.

    Raises:
        ProgramError: the network, or something in it, cannot be compiled; names it.
        TensorError: the inputs are of no use, or do not fit the network.
        OptionError: there is no such method.
    """
    choice = Choice(method, per_channel, rounding, frozenset(keep_float))
    return finish(prepare(path, inputs), profile, choice, probes)


def prepare(path: Path, inputs: Iterable[Tensors]) -> Prepared:
    """Runs the passes over a network, and the network over recorded inputs.

    Args:
        path: ONNX, in float32 or quantised as QDQ.
        inputs: recorded, float32, of the lengths the network shall have on the device; read once
            and held. Of a network that is quantised already only the first is used.

    Raises:
        ProgramError: the network cannot be read.
        TensorError: the inputs are of no use, or do not fit the network.
    """
    model, recorded = onnx_graph.load(path), list(inputs)
    if not recorded:
        raise TensorError("calibration: expected recorded inputs, there are none")
    _pin(model, recorded[0], path)
    changes = tuple(passes.run(model, recorded[0]))
    if qdq.is_quantised(model):
        return Prepared(path, model, changes, {}, qdq.strip(model), {}, recorded[:1])
    few = recorded[:: -(-len(recorded) // _FEW)]
    fitted = equalise(model, few)
    histograms = calibration.collect(model, recorded)
    return Prepared(path, model, changes, histograms, None, fitted, few)


def quantised(prepared: Prepared, choice: Choice) -> Quantised:
    """The network in integers, wherever the device can run it and that is worth its copies.

    Raises:
        ProgramError: `keep_float` names what is not there, or nothing is left for the device.
        OptionError: there is no such method.
    """
    given = prepared.given
    ranges = {} if given is not None else prepared.ranges(choice.method)
    how = choice.rounding, choice.keep_float, choice.per_channel
    network = consolidate(quantise(prepared.model, ranges, given, *how))
    if given is None:
        # Curves have tails within one step of zero, whose rounding moves a mean; rectifiers do not.
        network = correct_biases(network, prepared.few, activations=bool(prepared.fitted))
    if not network.layers:
        reasons = "\n".join(f"  {refusal}" for refusal in network.refusals.values())
        raise ProgramError(f"{prepared.path}: no layer of it can run on the device:\n{reasons}")
    return network


def finish(
    prepared: Prepared, profile: Profile, choice: Choice, probes: Iterable[Tensors] = ()
) -> Artefact:
    """Quantises a network, cuts it into segments and schedules them.

    Args:
        prepared: the network.
        profile: of the device; one that computes in floats takes no notice of most of the choice.
        choice: how it is quantised.
        probes: inputs to inspect all tensors with; none to leave that out of the report.

    Raises:
        ProgramError: something in the network cannot be compiled, or does not fit the device.
        OptionError: there is no such method.
    """
    network, model = quantised(prepared, choice), prepared.model
    integers = profile.precision == _INTEGERS
    parts = partition(network, integers)
    slots = [schedule(segment.layers, network.tensors, profile) for segment in parts.segments]
    report = {
        "choice": told(prepared, profile, choice),
        "passes": [asdict(change) for change in prepared.changes],
        **_report(network, parts, slots, profile),
    }
    if integers and (probes := list(probes)):
        report["inspection"] = inspect(network, probes)
    return Artefact(
        profile=profile.name,
        profile_sha256=profile.digest,
        rounding=choice.rounding,
        source_sha256=file_sha256(prepared.path),
        tensors=network.tensors if integers else {},
        segments=tuple(
            _scheduled(segment, made, network, profile)
            for segment, made in zip(parts.segments, slots, strict=True)
        ),
        inputs=tuple(value.name for value in onnx_graph.inputs(model.graph)),
        outputs=tuple(value.name for value in model.graph.output),
        report=report,
    )


def told(prepared: Prepared, profile: Profile, choice: Choice) -> dict[str, Any]:
    """A choice in plain values, as far as use is made of it."""
    values = asdict(choice) | {"keep_float": sorted(choice.keep_float)}
    if profile.precision != _INTEGERS:
        return values | {"method": profile.precision, "per_channel": None}
    return values if prepared.given is None else values | {"method": _GIVEN, "per_channel": None}


def _pin(model: Any, feeds: Tensors, path: Path) -> None:
    """Gives the network's inputs the lengths that were recorded."""
    wanted = {spec.name: spec for spec in map(onnx_graph.spec, onnx_graph.inputs(model.graph))}
    if wanted.keys() != feeds.keys():
        raise TensorError(f"{path}: expected inputs {', '.join(wanted)}, got {', '.join(feeds)}")
    for name, array in feeds.items():
        wanted[name].validate(array)
    onnx_graph.pin(model, [TensorSpec(n, array.shape, array.dtype) for n, array in feeds.items()])


def _scheduled(
    segment: Segment, slots: list[Slot], network: Quantised, profile: Profile
) -> Segment:
    """A segment whose layers know their cycles."""
    if not segment.on_device or profile.precision == _INTEGERS:
        return replace(segment, layers=tuple(slot.layer for slot in slots))
    return in_floats(segment, slots, network.model, network.tensors, profile.precision)


def _report(
    network: Quantised, parts: Partition, slots: list[list[Slot]], profile: Profile
) -> dict[str, Any]:
    """What a person wants to know, in plain values."""
    flat = [slot for made in slots for slot in made]
    cycles = sum(slot.layer.cycles for slot in flat)
    macs = sum(slot.macs for slot in flat if slot.layer.operator in WEIGHTED)
    return {
        "device_s": cycles / profile.clock_hz,
        "attained": macs / (cycles * profile.macs_per_cycle),
        "host": [asdict(refusal) for refusal in network.refusals.values()],
        "cuts": [asdict(cut) for cut in parts.cuts],
        "bytes_copied": parts.bytes_copied,
        "layers": [
            {
                "name": slot.layer.name,
                "operator": slot.layer.operator,
                "output": slot.layer.output,
                "segment": number,
                "start": slot.start,
                "cycles": slot.layer.cycles,
                "macs": slot.macs,
                "intensity": slot.intensity,
                "limit": slot.limit,
                **asdict(slot.tiling),
            }
            for number, made in enumerate(slots)
            for slot in made
        ],
    }
