"""LiteRT's files: one flatbuffer, read with suspicion and tried out in another process.

Schema: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema.
LiteRT checks the flatbuffer's tables and the tensors' numbers; a length that is wrong passes and
can ask for any amount of memory, and so can an axis or index among an operator's constants.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import numpy as np

from engines import trial
from engines.errors import ProgramError
from engines.program import Network

IDENTIFIER = b"TFL3"  # of a flatbuffer with the schema of TensorFlow Lite, at offset 4
#: Metadata that let XNNPACK compute float32 networks in float16, and what is put in their place.
LOWERED, KEPT = b"reduced_precision_support", b"reduced_precision_ignored"

#: SHA-256 of the files that were tried in another process, or written by this one.
_sound: set[str] = set()


def vouch(sha256: str) -> None:
    """Says of a file that this process has written it: it needs no trial here."""
    _sound.add(sha256)


class Content:
    """The bytes of a file, which the interpreters made of them read as long as they live.

    Raises:
        ProgramError: it is of another format, or LiteRT cannot run it.
    """

    def __init__(self, network: Network) -> None:
        content = network.path.read_bytes() if network.content is None else network.content
        about = f"{network} ({len(content)} bytes)"
        if content[4:8] != IDENTIFIER:
            raise ProgramError(
                f"{about}: not a TensorFlow Lite network: expected {IDENTIFIER.decode()} at "
                f"offset 4, found {content[4:8]!r}"
            )
        self.bytes = content.replace(LOWERED, KEPT)
        digest = hashlib.sha256(content).hexdigest()
        if digest not in _sound:
            if trouble := trial.trouble(__name__, "LiteRT", content=self.bytes):
                raise ProgramError(f"{about}: {trouble}")
            _sound.add(digest)


def interpreter(content: bytes, threads: int) -> Any:
    """An interpreter of a network, its memory laid out. Raises whatever LiteRT does."""
    from ai_edge_litert.interpreter import Interpreter

    made = Interpreter(model_content=content, num_threads=threads)
    made.allocate_tensors()
    return made


def main() -> None:
    """The other process: runs the network from stdin once on zeros; exits 1 with the reason."""
    trial.confine()
    try:
        made = interpreter(sys.stdin.buffer.read(), threads=1)
        for details in made.get_input_details():
            made.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
        made.invoke()
    except Exception as error:
        print(str(error) or type(error).__name__)
        sys.exit(1)


if __name__ == "__main__":
    main()
