"""Device profiles: what a simulated device can do in a second, and what it can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from engines.errors import OptionError

#: What a core computes in.
PRECISIONS = ("int8", "fp16", "fp32")
_KIB, _MIB = 2**10, 2**20
_SHIPPED = Path(__file__).with_name("devices")


@dataclass(frozen=True, slots=True)
class Profile:
    """One device.

    Attributes:
        name: as in a configuration.
        precision: one of `PRECISIONS`.
        cores: each holds one network at a time.
        macs_per_cycle: of one core; a multiply-add is two operations of a published peak.
        clock_hz: cycles a second.
        bandwidth: of the external memory in bytes a second, shared by the cores.
        on_chip_bytes: of one core, for weights and activations of the tile at work.
        memory_bytes: external memory the device may use, for networks and tensors.
        queue_depth: jobs a core takes before it refuses more.
        load_s: loading the firmware, at the start and after a crash, in seconds.
        layer_cycles: that every layer costs before its first multiply-add.
        source: where the figures are from, and which are assumed.
    """

    name: str
    precision: str
    cores: int
    macs_per_cycle: int
    clock_hz: float
    bandwidth: float
    on_chip_bytes: int
    memory_bytes: int
    queue_depth: int
    load_s: float
    layer_cycles: int
    source: str

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise OptionError(f"name: expected a word, got {self.name!r}")
        if self.precision not in PRECISIONS:
            raise OptionError(
                f"precision: expected one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        for key, (low, high, unit) in _RANGES.items():
            value = getattr(self, key)
            whole = isinstance(value, int) or (key in _REALS and isinstance(value, float))
            if isinstance(value, bool) or not whole or not low <= value <= high:
                kind = "number" if key in _REALS else "whole number"
                raise OptionError(
                    f"{key}: expected a {kind} of {unit} in {low:g} … {high:g}, got {value!r}"
                )
            if key in _REALS:
                object.__setattr__(self, key, float(value))
        if self.on_chip_bytes * self.cores > self.memory_bytes:
            raise OptionError(
                f"on_chip_bytes: {self.cores} cores of {self.on_chip_bytes} bytes hold more than "
                f"the external memory of {self.memory_bytes}"
            )

    @property
    def macs_per_s(self) -> float:
        """Peak of all cores."""
        return self.cores * self.macs_per_cycle * self.clock_hz

    @property
    def digest(self) -> str:
        """SHA-256 over all that changes results or time; tells profiles of one name apart."""
        values = {key: value for key, value in asdict(self).items() if key != "source"}
        return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


#: What is possible: the widest chip that has been built is far inside.
_RANGES: dict[str, tuple[float, float, str]] = {
    "cores": (1, 1024, "cores"),
    "macs_per_cycle": (1, 2**24, "multiply-adds a cycle"),
    "clock_hz": (1e6, 1e10, "hertz"),
    "bandwidth": (1e6, 1e14, "bytes a second"),
    "on_chip_bytes": (_KIB, 2**34, "bytes"),
    "memory_bytes": (_MIB, 2**42, "bytes"),
    "queue_depth": (1, 4096, "jobs"),
    "load_s": (0, 600, "seconds"),
    "layer_cycles": (0, 10**9, "cycles"),
}
_REALS = ("clock_hz", "bandwidth", "load_s")


def find(name_or_path: str) -> Profile:
    """A profile by its name, or from a YAML file with the keys of `Profile`.

    Raises:
        OptionError: there is none, or its numbers are impossible; names the key and the range.
    """
    if name_or_path in PROFILES:
        return PROFILES[name_or_path]
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        raise OptionError(
            f"profile: expected one of {', '.join(PROFILES)} or a .yaml file, got {name_or_path!r}"
        )
    return _load(path)


def _load(path: Path) -> Profile:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: no YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise OptionError(f"{path}: expected the keys of a profile, got {type(values).__name__}")
    try:
        return Profile(**_complete(values))
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from None


def _complete(values: Mapping[Any, Any]) -> dict[str, Any]:
    """The values, where they are of the right keys and none is missing."""
    known = {field.name for field in fields(Profile)}
    if wrong := sorted(map(str, values.keys() - known)):
        raise OptionError(f"unknown keys {', '.join(wrong)}; there are {', '.join(sorted(known))}")
    if missing := sorted(known - values.keys()):
        raise OptionError(f"missing keys {', '.join(missing)}")
    return {str(key): value for key, value in values.items()}


#: The profiles that come along, by name.
PROFILES = {path.stem: _load(path) for path in sorted(_SHIPPED.glob("*.yaml"))}
