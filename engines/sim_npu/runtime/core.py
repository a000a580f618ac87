"""One core of the device: the network it holds, and the jobs it has to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network that was given a core.

    Attributes:
        network: its hash; tells networks apart.
        size: bytes of its weights and tensors.
        core: that runs it, from 0.
        boot: the firmware's start it belongs to; a later one knows nothing of it.
    """

    network: str
    size: int
    core: int
    boot: int


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a network, on its core.

    Attributes:
        loaded: the network.
        number: of all jobs of the device, from 1.
        asked: second at which it was submitted.
        start: at which the core begins: its queue is done, and the network is copied.
        end: at which it is done, unless the device hangs.
        flips: bits of the result that will be wrong.
    """

    loaded: Loaded
    number: int
    asked: float
    start: float
    end: float
    flips: int

    @property
    def waiting_s(self) -> float:
        """Seconds behind other jobs, and for copying."""
        return self.start - self.asked

    @property
    def working_s(self) -> float:
        """Seconds that the core works on it."""
        return self.end - self.start


@dataclass(slots=True)
class Core:
    """A core, since the firmware was started.

    Attributes:
        free_at: second at which all that it was given is done.
        resident: the network it holds; empty where there is none.
        bytes: of the resident.
        queue: jobs that were not done when it was last looked at.
        users: how many have loaded a network for this core, by the network.
    """

    free_at: float
    resident: str = ""
    bytes: int = 0
    queue: list[Job] = field(default_factory=list)
    users: Counter[str] = field(default_factory=Counter)

    def copy(self, loaded: Loaded, now: float, bandwidth: float) -> None:
        """Makes a network the resident, as soon as the jobs are done."""
        self.resident, self.bytes = loaded.network, loaded.size
        self.free_at = max(now, self.free_at) + loaded.size / bandwidth

    def release(self, network: str) -> None:
        """One user less; a resident without any goes."""
        self.users[network] -= 1
        if not self.users[network] and self.resident == network:
            self.resident, self.bytes = "", 0

    def take(self, loaded: Loaded, number: int, asked: float, seconds: float, flips: int) -> Job:
        """A job of so many seconds, at the end of the queue."""
        start = max(asked, self.free_at)
        self.free_at = start + seconds
        job = Job(loaded, number, asked, start, self.free_at, flips)
        self.queue.append(job)
        return job
