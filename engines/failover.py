"""One program on the first of several engines that works.

All engines of the list are loaded at the start, so that the next can take over at once: the input
on which one failed runs on the next. A `Breaker` for each engine says when it is tried again; the
real input is the trial, and the next engine stands by for it. So nothing is lost where one works.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import border
from engines.base import Engine
from engines.breaker import Breaker
from engines.errors import EngineError, EngineLost, EngineUnavailable, ForwardError, ProgramError
from engines.isolation.restarts import Restart, together
from engines.program import Program, Tensors
from engines.tensor import TensorSpec
from engines.traffic import Traffic

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One engine a program may run on.

    Attributes:
        id: of the engine in the configuration.
        make: makes the engine, new and not initialised.
        program: the variant of the program for this engine.
        breaker: shared by all that run this program on this engine.
    """

    id: str
    make: Callable[[], Engine]
    program: Program
    breaker: Breaker = field(default_factory=Breaker)


class _Member:
    """A candidate with an engine of its own: loaded, being loaded, or lost."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.breaker = candidate.breaker
        self.ready: Engine | None = None
        self.traffic = Traffic()  # of every engine it ever had
        self.restart = Restart(f"engine {candidate.id}")
        self._coming: Engine | None = None
        self._raised = False  # so that it is loaded anew before it is trusted again
        self._on_trial = False

    def start_loading(self) -> None:
        """Begins to load a new engine, beside the caller where the engine can."""
        self.close()
        self._raised = False
        engine = self.candidate.make()
        try:
            engine.start_loading(self.candidate.program)
        except EngineError:
            engine.destroy()
            raise
        self._coming = engine

    def take_over(self) -> None:
        """Waits for the engine that is being loaded. Raises `EngineError` where it cannot be."""
        engine, self._coming = self._coming, None
        assert engine is not None  # `start_loading` comes first
        try:
            engine.init()
            engine.prepare(self.candidate.program)
        except EngineError:
            engine.destroy()
            raise
        except Exception as error:  # a library's own; the other engines must survive it too
            engine.destroy()
            raise EngineUnavailable(f"{engine}: cannot be loaded: {error}") from error
        engine.traffic = self.traffic
        self.ready = engine

    def tend(self, now_s: float) -> bool:
        """Loads the engine anew where that is due; says whether a new one has just come.

        Raises:
            EngineError: it cannot be loaded, or its process died while it stood by.
        """
        if self.ready is not None:
            self.ready.require_alive()
        if self._coming is None and (self.ready is None or self._raised):
            if not self.breaker.allow(now_s):
                return False
            self._on_trial = True
            self.start_loading()
        if self._coming is None or not self._coming.loaded:
            return False
        self.take_over()
        self.restart = self.restart.again(self.breaker.reason)
        return True

    def may_run(self, now_s: float) -> bool:
        """Whether the engine is there, and trusted or on trial."""
        return self.ready is not None and (self._on_trial or self.breaker.allow(now_s))

    def run(self, engine: Engine, outputs: Sequence[TensorSpec]) -> Tensors:
        """Runs the program; raises `EngineError` where it fails or an output is not finite."""
        self._on_trial = False
        try:
            engine.forward()
            results = {spec.name: border.take(engine, spec.name) for spec in outputs}
        except EngineLost:
            self.close()
            raise
        except EngineError:
            self._raised = True
            raise
        self._raised = False
        _require_finite(results)
        return results

    def close(self) -> None:
        """Gives every engine back."""
        for engine in (self.ready, self._coming):
            if engine is not None:
                engine.destroy()
        self.ready = self._coming = None


class Failover:
    """Runs a program on the first of its engines that works; owned by one worker.

    An engine that raised is loaded anew before it is trusted again: an isolated one beside the
    others' work, one of this process while its caller waits. One that gave numbers that are not
    finite is only tried again. Where no engine is trusted, those that are loaded are tried all the
    same: so an input that no engine can stand spoils its own frame only.

    Attributes:
        inputs: what the program takes; real numbers, where an engine has them quantised.
        outputs: what it gives.
        engine_id: of the engine that ran last.

    Args:
        candidates: in the order of preference, at least one.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self, candidates: Sequence[Candidate], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.inputs: tuple[TensorSpec, ...] = ()
        self.outputs: tuple[TensorSpec, ...] = ()
        self.engine_id = candidates[0].id
        self._members = [_Member(candidate) for candidate in candidates]
        self._clock = clock
        self._counts: Counter[str] = Counter()

    def open(self) -> None:
        """Loads every engine; one that cannot be is left for later.

        Raises:
            EngineError: none can be loaded.
            ProgramError: the engines' tensors differ.
        """
        errors: dict[str, EngineError] = {}
        for step in (_Member.start_loading, _Member.take_over):  # isolated ones load side by side
            for member in self._members:
                if member.candidate.id not in errors:
                    try:
                        step(member)
                    except EngineError as error:
                        errors[member.candidate.id] = error
        if len(errors) == len(self._members):
            raise _all_failed(errors)
        for member in self._members:
            if member.ready is not None:
                self._require_agreement(member.ready)
            else:
                self._failed(member, errors[member.candidate.id])

    def engines(self) -> tuple[Engine, ...]:
        """Those that are loaded now, in the order of preference."""
        return tuple(member.ready for member in self._members if member.ready is not None)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """Runs the program once.

        Returns:
            Every output by name, finite.

        Raises:
            TensorError: the inputs do not fit; no engine is to blame.
            EngineError: of the last engine tried; none could run it.
        """
        self._tend()
        failure: EngineError = EngineUnavailable(f"no engine is there: {self._reasons()}")
        for member, engine in self._in_turn():
            for name, array in inputs.items():
                border.give(engine, name, array)
            self.engine_id = engine.id
            trusted = member.breaker.closed
            try:
                results = member.run(engine, self.outputs)
            except EngineError as error:
                failure = error
                self._failed(member, error)
                continue
            if not trusted:
                self._worked(member)
            return results
        raise failure

    def counts(self) -> Mapping[str, int]:
        """How often each engine was left, as ``<id> failed``, and taken back, ``<id> returned``."""
        return dict(self._counts)

    def reasons(self) -> Mapping[str, str]:
        """Why each engine that ever failed last did, by its id."""
        return {m.candidate.id: m.breaker.reason for m in self._members if m.breaker.reason}

    def restarts(self) -> Sequence[Restart]:
        """How often each engine was loaded anew after a failure, and why the last time."""
        return together(member.restart for member in self._members)

    def traffic(self) -> Mapping[str, Traffic]:
        """What went over each engine's border since `open`, by its id; goes on being counted."""
        return {member.candidate.id: member.traffic for member in self._members}

    def close(self) -> None:
        """Gives all engines back."""
        for member in self._members:
            member.close()

    def _tend(self) -> None:
        for member in self._members:
            try:
                if member.tend(self._clock()) and member.ready is not None:
                    self._require_agreement(member.ready)
            except EngineError as error:
                member.close()
                self._failed(member, error)

    def _in_turn(self) -> Iterator[tuple[_Member, Engine]]:
        """The engines to try one after another: those trusted, then the others that are there."""
        tried = []
        for member in self._members:
            if member.may_run(self._clock()) and member.ready is not None:
                tried.append(member)
                yield member, member.ready
        for member in self._members:
            if member.ready is not None and member not in tried:
                yield member, member.ready

    def _failed(self, member: _Member, error: EngineError) -> None:
        if member.breaker.failure(self._clock(), str(error)):
            self._counts[f"{member.candidate.id} failed"] += 1
            _log.warning("engine %r is left: %s", member.candidate.id, str(error))

    def _worked(self, member: _Member) -> None:
        if member.breaker.success(self._clock()):
            self._counts[f"{member.candidate.id} returned"] += 1
            _log.warning("engine %r works again", member.candidate.id)

    def _require_agreement(self, engine: Engine) -> None:
        """Whether an engine's tensors are the others'; its order of outputs may differ."""
        inputs, outputs = (
            tuple(map(border.outside, specs)) for specs in (engine.inputs, engine.outputs)
        )
        if not self.outputs:
            self.inputs, self.outputs = inputs, outputs
        for ours, theirs in ((self.inputs, inputs), (self.outputs, outputs)):
            found = {spec.name: spec for spec in theirs}
            for spec in ours:
                other = found.get(spec.name)
                if len(ours) != len(theirs) or other is None or not spec.agrees(other):
                    raise ProgramError(
                        f"{engine}: expected the tensors of the engines beside it, "
                        f"{', '.join(map(str, ours))}; found {', '.join(map(str, theirs))}"
                    )

    def _reasons(self) -> str:
        return "; ".join(f"{name}: {reason}" for name, reason in self.reasons().items())


def _all_failed(errors: Mapping[str, EngineError]) -> EngineError:
    if len(errors) == 1:
        return next(iter(errors.values()))
    reasons = "; ".join(f"{name}: {error}" for name, error in errors.items())
    return EngineUnavailable(f"none of the engines can be loaded: {reasons}")


def _require_finite(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Raises `ForwardError` naming the first tensor with an element that is not finite."""
    for name, array in tensors.items():
        if array.dtype.kind != "f":
            continue
        # One pass without a temporary; only a sum that is not finite is worth a closer look.
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.add.reduce(array, axis=None)
        if not np.isfinite(total) and (wrong := int((~np.isfinite(array)).sum())):
            raise ForwardError(f"output {name} has {wrong} of {array.size} elements not finite")
