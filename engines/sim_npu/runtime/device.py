"""The device as something that has a state and takes time.

No arithmetic and no thread of its own: who uses it says what happens, and its time says how late it
is. Every call that a real driver could refuse can be refused here. Several engines may use one
device, each from its own thread.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineUnavailable, ForwardError, ProgramError
from engines.sim_npu.profiles import Profile
from engines.sim_npu.runtime.core import Core, Job, Loaded
from engines.sim_npu.runtime.pacing import SimulatedTime, Time


class Condition(Enum):
    """What the device is in."""

    OFF = "off"
    RUNNING = "running"
    HUNG = "hung"
    CRASHED = "crashed"
    GONE = "gone"


class Device:
    """One simulated device.

    Attributes:
        profile: what it can do.
        time: its own.
        condition: what it is in.
        boots: how often the firmware was started.
        jobs: that were taken since it was made.
        swaps: how often a network had to be copied because another one had its core.
        slowdown: by thermal throttling; 1 is none.

    Args:
        on_call: called with the device whenever its firmware is asked for something; may order
            faults.
    """

    def __init__(
        self,
        profile: Profile,
        time: Time | None = None,
        on_call: Callable[[Device], None] = lambda device: None,
    ) -> None:
        self.profile = profile
        self.time = time or SimulatedTime()
        self.condition = Condition.OFF
        self.boots = 0
        self.jobs = 0
        self.swaps = 0
        self.slowdown = 1.0
        self._on_call = on_call
        self._lock = RLock()
        self._ready_at = 0.0
        self._hung_at = 0.0
        self._silent = False  # it hangs, and somebody has waited for it in vain
        self._taken = 0
        self._flips = 0
        self._cores: list[Core] = []

    @property
    def now(self) -> float:
        """Seconds since it was made."""
        return self.time.now

    @property
    def busy_s(self) -> float:
        """Seconds until the firmware answers."""
        return max(0.0, self._ready_at - self.now)

    @property
    def keeps_waiting(self) -> bool:
        """Whether `wait_for_firmware` would take its caller's time."""
        return self.time.waits(self._ready_at)

    @property
    def free_bytes(self) -> int:
        """Of the memory, that no network and nobody else holds; negative where too much is held."""
        held = sum(core.bytes for core in self._cores)
        return self.profile.memory_bytes - self._taken - held

    @property
    def in_order(self) -> bool:
        """Whether nothing that was ordered is still wrong with it."""
        well = self.condition in (Condition.OFF, Condition.RUNNING)
        return well and not self._taken and self.slowdown == 1

    def start(self) -> None:
        """Boots the device if it does not run; raises as `boot`."""
        with self._lock:
            self._on_call(self)
            if self.condition is not Condition.RUNNING:
                self.boot()

    def boot(self) -> None:
        """Starts the firmware: cores forget their networks and jobs, and are busy for `load_s`.

        Raises `EngineUnavailable` where the device is gone.
        """
        with self._lock:
            if self.condition is Condition.GONE:
                raise EngineUnavailable(f"{self}: the device is gone; plug it in")
            self.condition, self._silent = Condition.RUNNING, False
            self.boots += 1
            self._ready_at = self.now + self.profile.load_s
            self._cores = [Core(self._ready_at) for _ in range(self.profile.cores)]

    def wait_for_firmware(self) -> None:
        """Returns when the firmware has been loaded, whoever started it."""
        self.time.wait_until(self._ready_at)

    def load(self, network: str, size: int, core: int | None = None) -> Loaded:
        """Gives a network a core, in place of what was there.

        Copying it takes as long as the memory's bandwidth says; the resident itself costs nothing.

        Args:
            network: its hash.
            size: bytes of its weights and tensors.
            core: from 0; None: the one with the fewest networks loaded, of those one that has this
                network already.

        Raises:
            EngineUnavailable: the device is off, gone, crashed or still busy.
            ProgramError: the memory is too small.
        """
        with self._lock:
            self._on_call(self)
            self._require_running()
            if self.busy_s:
                raise EngineUnavailable(
                    f"{self}: busy loading its firmware for another {self.busy_s:g} s"
                )
            number = self._best_core(network) if core is None else core
            loaded = Loaded(network, size, number, self.boots)
            self._make_resident(loaded, self.now)
            self._cores[number].users[network] += 1
            return loaded

    def unload(self, loaded: Loaded) -> None:
        """One user of the network less; the last one's memory becomes free."""
        with self._lock:
            if loaded.boot == self.boots:
                self._cores[loaded.core].release(loaded.network)

    def require(self, loaded: Loaded) -> None:
        """That the device runs, and knows the network.

        Raises:
            EngineUnavailable: it is off, gone, crashed, or known to hang.
            ForwardError: the firmware was started again since the network was loaded.
        """
        self._require_running()
        if loaded.boot != self.boots:
            raise ForwardError(
                f"{self}: its networks and jobs are lost, the firmware was started again since; "
                "load the network anew"
            )

    def submit(self, loaded: Loaded, cycles: int, wait: bool = False) -> Job:
        """Queues one run of a network; returns as soon as the core has taken it.

        Where another network has the core, this one is copied there first and the other is out.

        Args:
            loaded: from `load`.
            cycles: of the whole run.
            wait: for a place in the queue, as long as jobs end.

        Raises:
            EngineUnavailable: as `require`.
            ForwardError: the queue is full, the memory is, or the firmware was started again since
                the network was loaded.
            ProgramError: the network no longer fits beside those of the other cores.
        """
        asked = self.now
        while True:
            with self._lock:
                self._on_call(self)
                self.require(loaded)
                queue = self._cores[loaded.core].queue
                queue[:] = [job for job in queue if self._end(job) > self.now]
                if len(queue) < self.profile.queue_depth:
                    return self._take(loaded, cycles, asked)
                room_at = min(map(self._end, queue))
            if not wait or room_at == inf:
                raise ForwardError(
                    f"{self}: the queue of core {loaded.core} is full with {len(queue)} jobs; "
                    "finish one"
                )
            self.time.wait_until(room_at)

    def finish(self, job: Job, late_s: float = inf) -> None:
        """Waits for a job.

        Args:
            job: from `submit`.
            late_s: how long after its end it may still be waited for, seconds.

        Raises:
            EngineUnavailable: the device went away, crashed, or left another job unanswered.
            ForwardError: the firmware was started again since, or hangs; `late_s` has passed.
        """
        until = max(self.now, job.end) + late_s
        while True:
            with self._lock:
                self.require(job.loaded)
                end = self._end(job)
            if end <= self.now:
                return
            if end == until == inf:
                raise ForwardError(f"{self}: it hangs and would never answer; restart it")
            if self.now >= until:
                self._silent = True
                raise ForwardError(f"{self}: no answer {late_s:g} s after it was due; restart it")
            self.time.wait_until(min(end, until))

    def delivered(self, job: Job, array: NDArray[Any]) -> NDArray[Any]:
        """A job's result as it arrives: with the bits wrong that `flip` has ordered."""
        if not job.flips:
            return array
        bits = np.unpackbits(np.frombuffer(array.tobytes(), np.uint8))
        places = np.random.default_rng(job.number)
        bits[places.choice(bits.size, min(job.flips, bits.size), replace=False)] ^= 1
        return np.packbits(bits).view(array.dtype).reshape(array.shape)

    def pull(self) -> None:
        """The device is gone until `plug`."""
        self.condition = Condition.GONE

    def plug(self) -> None:
        """It is there again, switched off."""
        if self.condition is Condition.GONE:
            self.condition = Condition.OFF

    def hang(self) -> None:
        """No job ends any more, until the next `boot`."""
        with self._lock:
            if self.condition is Condition.RUNNING:
                self.condition, self._hung_at = Condition.HUNG, self.now

    def crash(self) -> None:
        """The firmware dies with all jobs, until the next `boot`."""
        if self.condition in (Condition.RUNNING, Condition.HUNG):
            self.condition = Condition.CRASHED

    def throttle(self, slowdown: float) -> None:
        """Later jobs take this many times as long; 1 ends it."""
        if not 1 <= slowdown < inf:
            raise ValueError(f"slowdown: expected a number ≥ 1, got {slowdown!r}")
        self.slowdown = slowdown

    def flip(self, bits: int) -> None:
        """The next job's result will have this many bits wrong."""
        self._flips = bits

    def take_memory(self, size: int) -> None:
        """Somebody else holds this many bytes of the device's memory; 0 ends it.

        Where more is held than there is, no network can be loaded and no job be taken.
        """
        self._taken = size

    def __str__(self) -> str:
        return f"device {self.profile.name}"

    def _best_core(self, network: str) -> int:
        def cost(number: int) -> tuple[int, bool]:
            core = self._cores[number]
            return core.users.total(), core.resident != network

        return min(range(len(self._cores)), key=cost)

    def _make_resident(self, loaded: Loaded, now: float) -> None:
        core = self._cores[loaded.core]
        if core.resident == loaded.network:
            return
        possible = self.free_bytes + core.bytes
        if loaded.size > possible:
            raise ProgramError(
                f"{self}: out of memory: the network needs {loaded.size} bytes, {possible} of "
                f"{self.profile.memory_bytes} are free"
            )
        self.swaps += core.resident != ""
        core.copy(loaded, now, self.profile.bandwidth)

    def _take(self, loaded: Loaded, cycles: int, asked: float) -> Job:
        """Makes a job of it."""
        if self.free_bytes < 0:
            raise ForwardError(
                f"{self}: out of memory: {-self.free_bytes} bytes more are held than there are"
            )
        self._make_resident(loaded, asked)
        self.jobs += 1
        seconds = cycles * self.slowdown / self.profile.clock_hz
        flips, self._flips = self._flips, 0
        return self._cores[loaded.core].take(loaded, self.jobs, asked, seconds, flips)

    def _end(self, job: Job) -> float:
        """Never, where the device hung before."""
        stuck = self.condition is Condition.HUNG and job.end > self._hung_at
        return inf if stuck else job.end

    def _require_running(self) -> None:
        """A device that hangs looks as if it ran, until a job was waited for in vain."""
        unnoticed = self.condition is Condition.HUNG and not self._silent
        if self.condition is Condition.RUNNING or unnoticed:
            return
        remedy = "plug it in" if self.condition is Condition.GONE else "boot it"
        raise EngineUnavailable(f"{self}: the device is {self.condition.value}; {remedy}")
