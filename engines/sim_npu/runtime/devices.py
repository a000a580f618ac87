"""The simulated devices of this process: one for each engine of a configuration.

The engines of several workers have the same id, and so the same device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from engines.errors import OptionError
from engines.sim_npu.runtime.device import Device


@dataclass(slots=True)
class _Place:
    device: Device
    settings: object
    users: int = 0


class Devices:
    """Devices by the id of their engine; safe to use from several threads.

    A device without users is forgotten where it is in order. One that is gone, hung, crashed, slow
    or out of memory stays as it is: an engine that is loaded anew must not find another one.
    """

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._lock = Lock()

    def attach(self, engine_id: str, settings: object, make: Callable[[], Device]) -> Device:
        """The engine's device, with a user more; made where there is none.

        Args:
            engine_id: as in a configuration.
            settings: what it is made from; another device's are told by them.
            make: makes it, switched off.

        Raises:
            OptionError: it is in use with other settings.
        """
        with self._lock:
            place = self._places.get(engine_id)
            if place is None or (place.settings != settings and not place.users):
                place = self._places[engine_id] = _Place(make(), settings)
            elif place.settings != settings:
                raise OptionError(
                    f"the device of engine {engine_id!r} is in use with another profile, pacing or "
                    "faults in this process; give this engine another id"
                )
            place.users += 1
            return place.device

    def detach(self, device: Device) -> None:
        """One user less."""
        with self._lock:
            for engine_id, place in self._places.items():
                if place.device is device:
                    place.users -= 1
                    if not place.users and device.in_order:
                        del self._places[engine_id]
                    return

    def of(self, engine_id: str) -> Device:
        """An engine's device, to look at or to order faults; the engine keeps it.

        Raises `KeyError` where no engine of this id has been initialised in this process.
        """
        return self._places[engine_id].device

    def forget(self, engine_id: str) -> None:
        """Later engines of this id get a new device; those that have it keep it."""
        with self._lock:
            self._places.pop(engine_id, None)


#: Those that `backend: sim-npu` uses.
DEVICES = Devices()
