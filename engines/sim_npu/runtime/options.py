"""What a configuration may say of an engine with `backend: sim-npu`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engines.errors import OptionError
from engines.options import Options, parsed, whole
from engines.sim_npu.profiles import find
from engines.sim_npu.runtime.faults import Fault, parse
from engines.sim_npu.runtime.pacing import PACINGS

#: The core with least to do.
AUTO = "auto"


def _profile(name: Any) -> str:
    if not isinstance(name, str):
        raise OptionError(f"profile: expected text, got {name!r}")
    find(name)
    return name


def _core(core: Any) -> str:
    if core != AUTO and (isinstance(core, bool) or not str(core).isdecimal()):
        raise OptionError(f"core: expected {AUTO} or a whole number ≥ 0, got {core!r}")
    return str(core)


def _pacing(pacing: Any) -> str:
    if pacing not in PACINGS:
        raise OptionError(f"pacing: expected one of {', '.join(PACINGS)}, got {pacing!r}")
    return str(pacing)


@dataclass(frozen=True, slots=True)
class SimNpuOptions(Options):
    """Options of `backend: sim-npu`.

    Attributes:
        profile: name of a device profile, or a YAML file with one.
        core: that runs the network, from 0; ``auto``: the one with least to do.
        threads: of this machine that compute one layer; the device's own time is not changed.
        answer_s: seconds of the device that an answer may be late before the device counts as hung.
        pacing: ``real`` holds results and boots back until the device would be done; ``none``
            only counts its time.
        faults: that happen by themselves, as `faults.Fault` has them.
    """

    profile: str = parsed("hi3559a-nnie", _profile)
    core: str = parsed(AUTO, _core)
    threads: int = whole(1, 1)
    answer_s: float = 1.0
    pacing: str = parsed("none", _pacing)
    faults: tuple[Fault, ...] = parsed((), parse)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        cores = find(self.profile).cores
        if self.core != AUTO and int(self.core) >= cores:
            raise OptionError(
                f"core: expected {AUTO} or 0 … {cores - 1} of {self.profile}, got {self.core}"
            )

    @property
    def target(self) -> str:
        return find(self.profile).name
