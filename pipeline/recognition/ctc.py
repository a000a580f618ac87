"""Text from a recogniser trained by connectionist temporal classification.

Such a network gives, at each of T steps along the text, a probability of each sign of an alphabet
and of a blank; a text is read from a path of one sign a step by dropping repetitions, then blanks.
The text of the likeliest path is taken (Graves et al., Connectionist temporal classification, ICML
2006, sec. 3.2, best path decoding). The path's probability, which the text's is at least, says how
sure it is.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.activations import softmax
from pipeline.recognition.classes import Floats
from pipeline.recognition.looks import Looks

Blank = Literal["first", "last"]


def read(scores: Floats, alphabet: str, blank: Blank, *, logits: bool = True) -> Looks:
    """Looks at a text; one in which nothing was read is a look without weight.

    Args:
        scores: (M, T, signs + 1), with the blank.
        alphabet: the signs in the order of the scores.
        blank: where its score stands among those of the signs.
        logits: whether the probabilities are the scores' softmax, or the scores.
    """
    texts, sure = best_paths(softmax(scores) if logits else scores, alphabet, blank)
    # Never of length 0, which no engine of strings likes; the empty text is no value.
    values, said = np.unique([*texts, ""], return_inverse=True)
    weights = np.zeros((len(texts), len(values)), np.float32)
    weights[np.arange(len(texts)), said[:-1]] = sure
    return Looks(values[1:], weights[:, 1:], np.ones(len(texts), np.bool_))


def best_paths(
    probabilities: Floats, alphabet: str, blank: Blank
) -> tuple[list[str], NDArray[np.float64]]:
    """The text of the likeliest path of each, M of them, and the paths' probabilities (M,).

    Args:
        probabilities: (M, T, signs + 1).
        alphabet: the signs in the order of the probabilities.
        blank: where its probability stands among those of the signs.
    """
    best = probabilities.argmax(axis=-1)
    nothing = 0 if blank == "first" else len(alphabet)
    kept = best != nothing
    kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    signs = np.array(list(alphabet))[np.where(kept, best - (blank == "first"), 0)]
    texts = ["".join(row[mask]) for row, mask in zip(signs, kept, strict=True)]
    sure = np.clip(probabilities.max(axis=-1, initial=0), 0, 1).astype(np.float64).prod(axis=-1)
    return texts, sure
