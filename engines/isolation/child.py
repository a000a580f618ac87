"""``python -m engines.isolation.child SOCKET INPUTS OUTPUTS``: what runs in the other process.

What `engines.isolation.isolated` starts. The numbers are descriptors this process inherits: a
socket for requests and answers, and two blocks of shared memory for the tensors. The command line
has nothing else, and nothing is read from the terminal.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

from engines import errors
from engines.base import Engine
from engines.errors import EngineError, EngineUnavailable, ForwardError, ProgramError
from engines.isolation.shared import Placed, SharedTensors
from engines.isolation.spawn import from_the_parent
from engines.options import Options
from engines.program import Program
from engines.traffic import Work, size_of

#: The error for whatever a backend raises without saying what it is.
_UNNAMED: dict[str, type[EngineError]] = {"init": EngineUnavailable, "prepare": ProgramError}

Answer = tuple[str, Any]
Counts = tuple[int, int]


class Servant:
    """Does what the other process asks of one engine.

    Args:
        inputs: written by the other process.
        outputs: written here.
    """

    def __init__(self, inputs: SharedTensors, outputs: SharedTensors) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._engine: Engine | None = None

    def answer(self, call: str, *arguments: Any) -> Answer:
        """Does it; an error becomes an answer too."""
        calls: dict[str, Callable[..., Any]] = {
            "init": self._init,
            "prepare": self._prepare,
            "forward": self._forward,
            "destroy": self._destroy,
        }
        try:
            return "", calls[call](*arguments)
        except EngineError as error:
            return _name(error), str(error)
        except Exception as error:  # another process waits for the answer, whatever it is
            kind = _UNNAMED.get(call, ForwardError)
            text = f"{self._engine}: {call}() failed: {type(error).__name__}: {error}"
            return kind.__name__, text

    def _init(
        self, kind: type[Engine], engine_id: str, device: str, options: Options, precision: str
    ) -> None:
        self._engine = kind(engine_id, device, options, precision)
        self._engine.init()

    def _prepare(self, placed: Sequence[Placed]) -> tuple[Any, ...]:
        engine = self._made()
        program: Program = pickle.loads(self._inputs.read(placed)["program"].data)
        engine.prepare(program)
        return engine.inputs, engine.outputs, engine.precision, engine.report()

    def _forward(self, placed: Sequence[Placed]) -> tuple[list[Placed], Counts, Counts]:
        """Where the outputs lie, and what was copied in and out on this side: bytes and ns."""
        engine = self._made()
        copied_in = engine.traffic.copied_in = Work()
        copied_out = engine.traffic.copied_out = Work()
        for name, array in self._inputs.read(placed).items():
            engine.set_tensor(name, array)
        engine.forward()
        outputs = {spec.name: engine.get_tensor(spec.name) for spec in engine.outputs}
        started_ns = perf_counter_ns()
        placed = self._outputs.write(outputs)
        copied_out.add(size_of(outputs.values()), started_ns)
        # As plain numbers, which travel in a twentieth of the time of objects.
        return placed, (copied_in.bytes, copied_in.ns), (copied_out.bytes, copied_out.ns)

    def _destroy(self) -> None:
        if self._engine is not None:
            self._engine.destroy()

    def _made(self) -> Engine:
        if self._engine is None:
            raise EngineUnavailable("init() has failed")
        return self._engine


def main() -> None:
    """Answers until nobody asks any more."""
    asked, (inputs, outputs) = from_the_parent()
    servant = Servant(SharedTensors(inputs), SharedTensors(outputs))
    with asked:
        while True:
            try:
                request = asked.recv()
            except EOFError:
                return
            except Exception as error:  # what it names cannot be imported here
                asked.send((EngineUnavailable.__name__, f"in a process of its own: {error}"))
                continue
            asked.send(servant.answer(*request))


def _name(error: EngineError) -> str:
    """Of the error's class, or of the nearest one that the other process knows."""
    return next(kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__))


if __name__ == "__main__":
    main()
