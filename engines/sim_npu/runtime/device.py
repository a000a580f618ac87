"""The device as something that has a state and takes time; the time is simulated.

No arithmetic, no thread and no real clock: who uses it says what happens, and `Device.now` says how
late it would be. Every call that the real driver could refuse can be refused here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import inf

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineUnavailable, ForwardError, ProgramError
from engines.sim_npu.profiles import Profile


class Condition(Enum):
    """What the device is in."""

    OFF = "off"
    RUNNING = "running"
    HUNG = "hung"
    CRASHED = "crashed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Job:
    """A network submitted to a core.

    Attributes:
        core: that runs it.
        start: simulated second at which the core begins.
        end: at which it is done; infinite where it never will be.
        boot: the firmware's start it belongs to; a later one knows nothing of it.
    """

    core: int
    start: float
    end: float
    boot: int


@dataclass(slots=True)
class _Core:
    """What a core holds and what it has to do."""

    resident: str = ""
    bytes: int = 0
    free_at: float = 0.0
    jobs: list[Job] = field(default_factory=list)


class Device:
    """One simulated device.

    Attributes:
        profile: what it can do.
        now: simulated seconds since it was made; only this class moves it.
        condition: what it is in.
        boots: how often the firmware was started.
        slowdown: by thermal throttling; 1 is none.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.now = 0.0
        self.condition = Condition.OFF
        self.boots = 0
        self.slowdown = 1.0
        self._ready_at = 0.0
        self._taken = 0
        self._flips = 0
        self._cores: list[_Core] = []

    def boot(self) -> None:
        """Starts the firmware: cores forget their networks and jobs, and are busy for `load_s`.

        Raises `EngineUnavailable` where the device is gone.
        """
        if self.condition is Condition.GONE:
            raise EngineUnavailable(f"{self}: the device is gone; plug it in")
        self.condition = Condition.RUNNING
        self.boots += 1
        self._ready_at = self.now + self.profile.load_s
        self._cores = [_Core(free_at=self._ready_at) for _ in range(self.profile.cores)]

    @property
    def busy_s(self) -> float:
        """Simulated seconds until the firmware answers."""
        return max(0.0, self._ready_at - self.now)

    @property
    def free_bytes(self) -> int:
        """Of the memory, that no network and nobody else holds."""
        held = sum(core.bytes for core in self._cores)
        return self.profile.memory_bytes - self._taken - held

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds

    def place(self, core: int, network: str, size: int) -> None:
        """Makes a network the resident of a core, in place of what was there.

        Copying it takes as long as the memory's bandwidth says; the resident itself costs nothing.

        Args:
            core: from 0.
            network: its hash; tells networks apart.
            size: bytes of its weights and tensors.

        Raises:
            EngineUnavailable: the device is gone, crashed or still busy.
            ProgramError: the memory is too small.
        """
        self._require_running()
        self._require_answering()
        place = self._cores[core]
        if place.resident == network:
            return
        possible = self.free_bytes + place.bytes
        if size > possible:
            raise ProgramError(
                f"{self}: out of memory: the network needs {size} bytes, {possible} of "
                f"{self.profile.memory_bytes} are free"
            )
        place.resident, place.bytes = network, size
        place.free_at = max(self.now, place.free_at) + size / self.profile.bandwidth

    def submit(self, core: int, network: str, cycles: int) -> Job:
        """Queues one run of the resident; returns at once.

        Args:
            core: from 0.
            network: the resident, as given to `place`.
            cycles: of the whole run.

        Raises:
            EngineUnavailable: the device is gone, crashed or still busy.
            ForwardError: the queue is full, or another network is resident.
        """
        self._require_running()
        self._require_answering()
        place = self._cores[core]
        if place.resident != network:
            raise ForwardError(f"{self}: core {core} does not hold this network; place it first")
        place.jobs = [job for job in place.jobs if job.end > self.now]
        if len(place.jobs) >= self.profile.queue_depth:
            raise ForwardError(
                f"{self}: the queue of core {core} is full with {len(place.jobs)} jobs; finish one"
            )
        start = max(self.now, place.free_at)
        seconds = cycles * self.slowdown / self.profile.clock_hz
        job = Job(core, start, inf if self._hangs else start + seconds, self.boots)
        place.free_at = job.end
        place.jobs.append(job)
        return job

    def finish(self, job: Job, timeout_s: float = inf) -> float:
        """Waits for a job and gives the seconds its core worked on it.

        Raises:
            EngineUnavailable: the device went away.
            ForwardError: the firmware crashed or was restarted since, or the job takes longer than
                `timeout_s`, which then has passed.
        """
        self._require_running()
        if job.boot != self.boots:
            raise ForwardError(f"{self}: the job is lost: the firmware was started again since")
        if self._hangs and job.end > self.now:
            job = Job(job.core, job.start, inf, job.boot)
        if job.end - self.now > timeout_s:
            self.now += timeout_s
            raise ForwardError(f"{self}: no answer within {timeout_s:g} s; restart it")
        if job.end == inf:
            raise ForwardError(f"{self}: it hangs and would never answer; restart it")
        self.now = max(self.now, job.end)
        return job.end - job.start

    def delivered(self, array: NDArray[np.int8]) -> NDArray[np.int8]:
        """A result as it arrives: with one bit flipped for each that `flip` has ordered."""
        if not self._flips:
            return array
        count, self._flips = self._flips, 0
        bits = np.unpackbits(array.view(np.uint8))
        where = np.random.default_rng(count).choice(bits.size, min(count, bits.size), replace=False)
        bits[where] ^= 1
        return np.packbits(bits).view(np.int8).reshape(array.shape)

    # Faults on demand.

    def pull(self) -> None:
        """The device is gone until `plug`."""
        self.condition = Condition.GONE

    def plug(self) -> None:
        """It is there again, switched off."""
        self.condition = Condition.OFF

    def hang(self) -> None:
        """No job ends any more, until the next `boot`."""
        self.condition = Condition.HUNG

    def crash(self) -> None:
        """The firmware dies with all jobs, until the next `boot`."""
        self.condition = Condition.CRASHED

    def throttle(self, slowdown: float) -> None:
        """Later jobs take this many times as long; 1 ends it."""
        if not 1 <= slowdown < inf:
            raise ValueError(f"slowdown: expected a number ≥ 1, got {slowdown!r}")
        self.slowdown = slowdown

    def flip(self, bits: int) -> None:
        """The next result arrives with this many bits wrong."""
        self._flips = bits

    def take_memory(self, size: int) -> None:
        """Somebody else holds this many bytes of the device's memory."""
        self._taken = size

    def __str__(self) -> str:
        return f"device {self.profile.name}"

    @property
    def _hangs(self) -> bool:
        return self.condition is Condition.HUNG

    def _require_running(self) -> None:
        """A device that hangs looks as if it ran."""
        if self.condition in (Condition.RUNNING, Condition.HUNG):
            return
        remedy = "plug it in" if self.condition is Condition.GONE else "boot it"
        raise EngineUnavailable(f"{self}: the device is {self.condition.value}; {remedy}")

    def _require_answering(self) -> None:
        if self.busy_s:
            raise EngineUnavailable(
                f"{self}: busy loading its firmware for another {self.busy_s:g} s"
            )
