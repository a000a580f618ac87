"""The backend `sim-npu`: an artefact on a simulated device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.border import dequantised, quantised
from engines.errors import EngineError, EngineLost, EngineUnavailable, OptionError, ProgramError
from engines.program import Network, Program, Tensors
from engines.sharing import digest
from engines.sim_npu.artefact import Artefact, Segment, Tensor, read
from engines.sim_npu.profiles import Profile, find
from engines.sim_npu.runtime.core import Job, Loaded
from engines.sim_npu.runtime.device import Device
from engines.sim_npu.runtime.devices import DEVICES
from engines.sim_npu.runtime.faults import FaultSchedule
from engines.sim_npu.runtime.floating import FloatProgram
from engines.sim_npu.runtime.host import HostProgram
from engines.sim_npu.runtime.options import AUTO, SimNpuOptions
from engines.sim_npu.runtime.pacing import paced
from engines.sim_npu.runtime.program import DeviceProgram
from engines.tensor import TensorSpec

INSTALL = "pip install 'sightline[npu]'"
_OnDevice = DeviceProgram | FloatProgram


class SimNpuEngine(Engine):
    """Runs a compiled network: its device segments on the device, the others in float32 beside it.

    What an int8 device reads first or makes is int8 at the engine's border, with scale and zero
    point in its specification; every other tensor is as in the source network. Engines of one id
    in one process share one device.

    Attributes:
        simulated: the device; None before `init`. Tests order its faults there.
    """

    backend = "sim-npu"
    formats: ClassVar[tuple[str, ...]] = ("sim-npu",)
    free_axes = "none"
    options_type = SimNpuOptions
    options: SimNpuOptions
    simulated: Device | None = None
    _loaded: Loaded | None = None

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            import onnx
        except ImportError as error:
            return BackendInfo(cls.backend, "", (), (), cls.formats, (), str(error), INSTALL)
        version, dtypes = onnx.__version__, ("int8", "float16", "float32")
        return BackendInfo(cls.backend, version, ("cpu",), dtypes, cls.formats, (), "", "")

    def start_loading(self, program: Program) -> None:
        """Boots the device if it does not run; the firmware loads by itself.

        Raises `EngineUnavailable` where the device is gone.
        """
        self._switched_on()

    @property
    def loaded(self) -> bool:
        """Whether the firmware answers; until then other engines can do the work."""
        return self.simulated is None or not self.simulated.keeps_waiting

    def require_alive(self) -> None:
        if self.simulated is not None and self._loaded is not None:
            try:
                self.simulated.require(self._loaded)
            except EngineError as error:
                raise EngineLost(f"{self}: {error}") from None

    def _init(self) -> None:
        if self.device != "cpu":
            raise OptionError(f"{self}: no such device; there is cpu, which simulates the profile")
        try:
            import onnx  # noqa: F401 - the device's sums are generated ONNX programs
        except ImportError as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error
        self._switched_on().wait_for_firmware()

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        device = self._switched_on()
        self._artefact = read(program.path)
        _require_profile(program, self._artefact, device.profile)
        self.precision = device.profile.precision
        self._stored = {name: _stored(name, one) for name, one in self._artefact.tensors.items()}
        self._jobs: list[Job] = []
        core = None if self.options.core == AUTO else int(self.options.core)
        try:
            self._parts = [self._part(segment) for segment in self._artefact.segments]
            size = sum(part.size for part in self._on_device())
            # All device segments are one network to the device: none pushes another out.
            self._loaded = device.load(digest(program), size, core)
        except ProgramError as error:
            raise ProgramError(f"{program}: {error}") from error
        return self._borders()

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        values: Tensors = dict(inputs)
        self._jobs = []
        for segment, part in zip(self._artefact.segments, self._parts, strict=True):
            given = {name: values[name] for name in segment.inputs}
            if isinstance(part, HostProgram):
                values |= part.run(self._for_host(given))
            else:
                values |= self._run_on_device(part, self._for_device(given))
        return {name: values[name] for name in self._artefact.outputs}

    def _destroy(self) -> None:
        if self.simulated is None:
            return
        if self._loaded is not None:
            self.simulated.unload(self._loaded)
        DEVICES.detach(self.simulated)

    def report(self) -> dict[str, Any]:
        """Adds the device's state and time.

        `simulated_s`, `boots`, `jobs` and `swaps` are of the device's whole life, with all its
        engines; `device_s` and `waiting_s` of this engine's last forward. `layers_s` has the layers
        as scheduled. `attained` is what of a core's peak the last forward used, 0 … 1.
        """
        if self.simulated is None:
            return super().report()
        device = self.simulated
        return super().report() | {
            "profile": device.profile.name,
            "condition": device.condition.value,
            "simulated_s": device.now,
            "boots": device.boots,
            "jobs": device.jobs,
            "swaps": device.swaps,
            **(self._network_report(self._loaded, device.profile) if self._loaded else {}),
        }

    def _network_report(self, loaded: Loaded, profile: Profile) -> dict[str, Any]:
        worked_s = sum(job.working_s for job in self._jobs)
        peak = 2 * profile.macs_per_cycle * profile.clock_hz
        done = 2 * sum(part.macs for part in self._on_device())
        layers: Counter[str] = Counter()
        for part in self._on_device():
            layers.update(part.cycles_by_layer)
        return {
            "core": loaded.core,
            "device_s": worked_s,
            "waiting_s": sum(job.waiting_s for job in self._jobs),
            "peak_gops": peak / 1e9,
            "attained": done / worked_s / peak if worked_s else 0.0,
            "border_bytes": self._border_bytes(),
            "layers_s": {name: cycles / profile.clock_hz for name, cycles in layers.items()},
        }

    def _switched_on(self) -> Device:
        """The device of this engine's id, running, or about to."""
        if self.simulated is None:
            options, profile = self.options, find(self.options.profile)

            def make() -> Device:
                return Device(profile, paced(options.pacing), FaultSchedule(options.faults))

            settings = (profile, options.pacing, options.faults)
            self.simulated = DEVICES.attach(self.id, settings, make)
            self.simulated.start()
        return self.simulated

    def _part(self, segment: Segment) -> _OnDevice | HostProgram:
        if not segment.on_device:
            return HostProgram(segment, self.options.threads)
        if self.precision == "int8":
            return DeviceProgram(self._artefact, segment, self.options.threads)
        return FloatProgram(segment, self.options.threads)

    def _on_device(self) -> list[_OnDevice]:
        return [part for part in self._parts if not isinstance(part, HostProgram)]

    def _run_on_device(self, part: _OnDevice, given: Tensors) -> Tensors:
        """Its job is in the core's queue while this machine computes what the device would."""
        assert self.simulated is not None  # `prepare` has loaded the network
        assert self._loaded is not None
        job = self.simulated.submit(self._loaded, part.cycles, wait=True)
        results = part.run(given)
        self.simulated.finish(job, self.options.answer_s)
        self._jobs.append(job)
        return {name: self.simulated.delivered(job, array) for name, array in results.items()}

    def _for_device(self, given: Tensors) -> Tensors:
        return {
            name: quantised(array, self._stored[name])
            if array.dtype.kind == "f" and name in self._stored
            else array
            for name, array in given.items()
        }

    def _for_host(self, given: Tensors) -> Tensors:
        return {
            name: dequantised(array, self._stored[name]) if array.dtype == np.int8 else array
            for name, array in given.items()
        }

    def _borders(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Inputs by their first reader, outputs by their maker."""
        inputs: dict[str, TensorSpec] = {}
        outputs: dict[str, TensorSpec] = {}
        for segment, part in zip(self._artefact.segments, self._parts, strict=True):
            specs = self._specs_of(part)
            inputs = {name: specs[name] for name in segment.inputs} | inputs
            outputs |= {name: specs[name] for name in segment.outputs}
        return (
            tuple(inputs[name] for name in self._artefact.inputs),
            tuple(outputs[name] for name in self._artefact.outputs),
        )

    def _border_bytes(self) -> int:
        """That go to the device and come from it, for one forward."""
        crossing = [
            self._specs_of(part)[name]
            for segment, part in zip(self._artefact.segments, self._parts, strict=True)
            if not isinstance(part, HostProgram)
            for name in (*segment.inputs, *segment.outputs)
        ]
        return sum(prod(spec.shape) * spec.dtype.itemsize for spec in crossing)

    def _specs_of(self, part: _OnDevice | HostProgram) -> Mapping[str, TensorSpec]:
        return self._stored if isinstance(part, DeviceProgram) else part.specs


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


def _stored(name: str, tensor: Tensor) -> TensorSpec:
    return TensorSpec(
        name, tensor.shape, np.dtype("int8"), scale=tensor.scale, zero_point=tensor.zero_point
    )
