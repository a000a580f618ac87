"""The backend `sim-npu`: an artefact on a simulated device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.border import dequantised, quantised
from engines.errors import EngineUnavailable, OptionError, ProgramError
from engines.options import Options, whole
from engines.program import Network, Program, Tensors
from engines.sim_npu.artefact import Artefact, Tensor, read
from engines.sim_npu.profiles import Profile, find
from engines.sim_npu.runtime.device import Device
from engines.sim_npu.runtime.host import HostProgram
from engines.sim_npu.runtime.program import DeviceProgram
from engines.tensor import TensorSpec

INSTALL = "pip install 'sightline[npu]'"


@dataclass(frozen=True, slots=True)
class SimNpuOptions(Options):
    """Options of `backend: sim-npu`.

    Attributes:
        profile: name of a device profile of int8, or a YAML file with one.
        threads: of this machine that compute one layer; the device's own time is not changed.
        answer_s: simulated seconds to wait for a job.
    """

    profile: str = "hi3559a-nnie"
    threads: int = whole(1, 1)
    answer_s: float = 1.0

    @property
    def target(self) -> str:
        return find(self.profile).name


class SimNpuEngine(Engine):
    """Runs a compiled network: device segments in int8, host segments in float32.

    What the device reads first or makes is int8 at the engine's border, with scale and zero point
    in its specification; what the host reads first or makes is as in the source network.

    Attributes:
        simulated: the device; tests order its faults there.
    """

    backend = "sim-npu"
    formats: ClassVar[tuple[str, ...]] = ("sim-npu",)
    free_axes = "none"
    options_type = SimNpuOptions
    options: SimNpuOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            import onnx
        except ImportError as error:
            return BackendInfo(cls.backend, "", (), (), cls.formats, (), str(error), INSTALL)
        version, dtypes = onnx.__version__, ("int8",)
        return BackendInfo(cls.backend, version, ("cpu",), dtypes, cls.formats, (), "", "")

    def _init(self) -> None:
        if self.device != "cpu":
            raise OptionError(f"{self}: no such device; there is cpu, which simulates the profile")
        try:
            import onnx  # noqa: F401 - the device's sums are generated ONNX programs
        except ImportError as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error
        self.simulated = Device(_int8_profile(self.options.profile))
        self.simulated.boot()
        self.simulated.advance(self.simulated.busy_s)

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        self._artefact = read(program.path)
        _require_profile(program, self._artefact, self.simulated.profile)
        self.precision = "int8"
        self._stored = {name: _stored(name, one) for name, one in self._artefact.tensors.items()}
        threads = self.options.threads
        self._device = {
            index: DeviceProgram(self._artefact, segment, threads)
            for index, segment in enumerate(self._artefact.segments)
            if segment.on_device
        }
        self._host = {
            index: HostProgram(segment, threads)
            for index, segment in enumerate(self._artefact.segments)
            if not segment.on_device
        }
        self._resident = sha256(program.path.read_bytes()).hexdigest()
        self._worked_s = 0.0
        self._place()
        return _borders(self._artefact, self._host)

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        values: Tensors = dict(inputs)
        self._worked_s = 0.0
        for index, segment in enumerate(self._artefact.segments):
            given = {name: values[name] for name in segment.inputs}
            if index in self._host:
                values |= self._host[index].run(self._for_host(given))
            else:
                values |= self._on_device(self._device[index], self._for_device(given))
        return {name: values[name] for name in self._artefact.outputs}

    def _on_device(self, part: DeviceProgram, given: Tensors) -> Tensors:
        self._place()
        job = self.simulated.submit(0, self._resident, part.cycles)
        self._worked_s += self.simulated.finish(job, self.options.answer_s)
        return {name: self.simulated.delivered(array) for name, array in part.run(given).items()}

    def _place(self) -> None:
        """All device segments are one network to the device: none pushes another out."""
        if self._device:
            size = sum(part.size for part in self._device.values())
            self.simulated.place(0, self._resident, size)

    def _for_device(self, given: Tensors) -> Tensors:
        return {
            name: quantised(array, self._stored[name]) if array.dtype.kind == "f" else array
            for name, array in given.items()
        }

    def _for_host(self, given: Tensors) -> Tensors:
        return {
            name: dequantised(array, self._stored[name]) if array.dtype == np.int8 else array
            for name, array in given.items()
        }

    def report(self) -> dict[str, Any]:
        """Adds the device's state and simulated time.

        `device_s` is of the last forward, `simulated_s` of the device's whole life, `layers_s` by
        layer as scheduled; `attained` is what of a core's peak the last forward used, 0 … 1.
        """
        if not hasattr(self, "simulated"):
            return super().report()
        profile = self.simulated.profile
        parts = getattr(self, "_device", {}).values()
        worked_s = getattr(self, "_worked_s", 0.0)
        possible = worked_s * profile.macs_per_cycle * profile.clock_hz
        return super().report() | {
            "profile": profile.name,
            "condition": self.simulated.condition.value,
            "simulated_s": self.simulated.now,
            "device_s": worked_s,
            "attained": sum(part.macs for part in parts) / possible if possible else 0.0,
            "layers_s": {
                name: cycles / profile.clock_hz
                for part in parts
                for name, cycles in part.cycles_by_layer.items()
            },
        }


def _int8_profile(name: str) -> Profile:
    profile = find(name)
    if profile.precision != "int8":
        raise OptionError(
            f"profile: {name} computes in {profile.precision}, and artefacts are int8; take one of "
            "hi3559a-nnie, hi3559a-dsp, atlas500 or your own"
        )
    return profile


def _require_profile(program: Network, artefact: Artefact, profile: Profile) -> None:
    if artefact.profile != profile.name:
        raise ProgramError(
            f"{program}: compiled for profile {artefact.profile}, the device is {profile.name}; "
            f"compile it with --profile {profile.name}"
        )
    if artefact.profile_sha256 != profile.digest:
        raise ProgramError(
            f"{program}: profile {profile.name} has changed since it was compiled; compile it again"
        )


def _borders(
    artefact: Artefact, host: Mapping[int, HostProgram]
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs by their first reader, outputs by their maker."""
    inputs: dict[str, TensorSpec] = {}
    outputs: dict[str, TensorSpec] = {}
    for index, segment in reversed(list(enumerate(artefact.segments))):
        inputs |= {name: _spec(name, index, artefact, host) for name in segment.inputs}
    for index, segment in enumerate(artefact.segments):
        outputs |= {name: _spec(name, index, artefact, host) for name in segment.outputs}
    return (
        tuple(inputs[name] for name in artefact.inputs),
        tuple(outputs[name] for name in artefact.outputs),
    )


def _spec(name: str, index: int, artefact: Artefact, host: Mapping[int, HostProgram]) -> TensorSpec:
    if index in host:
        return host[index].specs[name]
    return _stored(name, artefact.tensors[name])


def _stored(name: str, tensor: Tensor) -> TensorSpec:
    return TensorSpec(
        name, tensor.shape, np.dtype("int8"), scale=tensor.scale, zero_point=tensor.zero_point
    )
