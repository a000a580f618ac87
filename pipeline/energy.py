"""What a run costs in joules, and how hot its devices are, where the machine tells.

Energy comes from the processors' own counters, which Linux shows as power zones (docs.kernel.org,
"Power Capping Framework"; Intel, and AMD since Zen, under the same names), and from NVIDIA's
library where its Python package is installed. They count everything that runs on the machine, not
this process alone. Temperatures come from thermal zones and hardware monitors (docs.kernel.org,
"Generic Thermal Sysfs driver" and "Naming and data format standards for sysfs files"), and from
NVIDIA's library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

#: Only for root since what others compute can be read off the counter (CVE-2020-8694).
_FORBIDDEN = "{} cannot be read by this user; run: chmod a+r {}"
_NO_COUNTER = "no energy counter under {}: a virtual machine, or a kernel without intel_rapl"
_NO_SENSOR = "no sensor under {}: a virtual machine, or a kernel without its driver"


@dataclass(frozen=True)
class Energy:
    """What is known at one moment.

    Attributes:
        joules: that the whole machine's processors, memory and GPUs used since the meter was made,
            as far as they are counted; None where nothing is.
        uncounted: what is not counted, and why; empty where nothing is known to be missing.
        temperatures_c: degrees Celsius by sensor.
        no_temperature: why there are none; empty where there are.
    """

    joules: float | None
    uncounted: str
    temperatures_c: dict[str, float]
    no_temperature: str


class Meter:
    """Adds up what the machine's energy counters count, from when it is made.

    A processor's counter begins again at 0 after some minutes under full load, ten at the
    earliest: `read` must be called more often than that.

    Args:
        sys: where the kernel shows its devices.
    """

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._sys = sys
        self._gpus = _gpus()
        zones = _zones(sys / "class/powercap")
        counters = [*map(_zone_counter, zones), *(gpu.counter() for gpu in self._gpus)]
        self._counters = [counter for counter in counters if counter.works]
        closed = [zone / "energy_uj" for zone in zones if _number(zone / "energy_uj") is None]
        self._uncounted = "; ".join(_FORBIDDEN.format(path, path) for path in closed)
        if not zones:
            self._uncounted = _NO_COUNTER.format(sys / "class/powercap")

    def read(self) -> Energy:
        """What is known now."""
        joules = sum(counter.joules() for counter in self._counters) if self._counters else None
        temperatures_c = dict(_sensors(self._sys))
        temperatures_c |= {gpu.name: c for gpu in self._gpus if (c := gpu.celsius()) is not None}
        missing = "" if temperatures_c else _NO_SENSOR.format(self._sys / "class")
        return Energy(joules, self._uncounted, temperatures_c, missing)


class _Counter:
    """A number that only rises, until it begins again at 0.

    Args:
        read: gives it; None where it cannot be read now.
        period: what it is less than.
        unit: of it, joules.

    Attributes:
        works: whether it could be read at the beginning.
    """

    def __init__(self, read: Callable[[], int | None], period: int, unit: float) -> None:
        self._read, self._period, self._unit = read, period, unit
        self._last = read()
        self._total = 0
        self.works = self._last is not None

    def joules(self) -> float:
        """Since it was made."""
        now = self._read()
        if now is not None:
            self._total += (now - (self._last or 0)) % self._period
            self._last = now
        return self._total * self._unit


def _zones(folder: Path) -> list[Path]:
    """The power zones that, added up, count everything once."""
    # A package holds its cores; memory is counted apart; "psys" would be all of it again.
    return [
        zone
        for zone in sorted(folder.glob("intel-rapl:*"))
        if (_text(zone / "name") or "").startswith(("package", "dram"))
    ]


def _zone_counter(zone: Path) -> _Counter:
    most = _number(zone / "max_energy_range_uj") or 2**64 - 1
    return _Counter(partial(_number, zone / "energy_uj"), most + 1, 1e-6)


def _sensors(sys: Path) -> Iterator[tuple[str, float]]:
    """Each sensor's name and degrees Celsius; of several with one name the last one's."""
    for zone in sorted(sys.glob("class/thermal/thermal_zone*")):
        if (milli := _number(zone / "temp")) is not None:
            yield _text(zone / "type") or zone.name, milli / 1e3
    for sensor in sorted(sys.glob("class/hwmon/hwmon*/temp*_input")):
        if (milli := _number(sensor)) is not None:
            monitor = _text(sensor.parent / "name") or sensor.parent.name
            label = _text(sensor.with_name(sensor.name.replace("_input", "_label")))
            yield f"{monitor} {label or sensor.name.removesuffix('_input')}", milli / 1e3


@dataclass(frozen=True, slots=True)
class _Gpu:
    """One of NVIDIA's devices.

    Attributes:
        library: ``pynvml``.
        device: the library's handle.
        name: for people.
    """

    library: Any
    device: Any
    name: str

    def counter(self) -> _Counter:
        """Of its energy; in millijoules (NVML API reference)."""
        return _Counter(partial(self._ask, "nvmlDeviceGetTotalEnergyConsumption"), 2**64, 1e-3)

    def celsius(self) -> float | None:
        """Of its chip."""
        return self._ask("nvmlDeviceGetTemperature", self.library.NVML_TEMPERATURE_GPU)

    def _ask(self, function: str, *arguments: Any) -> int | None:
        """An old device does not answer everything, and one that fell off the bus nothing."""
        try:
            return int(getattr(self.library, function)(self.device, *arguments))
        except self.library.NVMLError:
            return None


def _gpus() -> list[_Gpu]:
    try:
        library = import_module("pynvml")
    except ImportError:
        return []
    try:
        library.nvmlInit()
        found = map(library.nvmlDeviceGetHandleByIndex, range(library.nvmlDeviceGetCount()))
        return [_Gpu(library, device, f"gpu{index}") for index, device in enumerate(found)]
    except library.NVMLError:  # a package without a driver
        return []


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> int | None:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None
