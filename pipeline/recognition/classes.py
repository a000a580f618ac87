"""A classifier's output: one of several classes, or a yes or no to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.activations import sigmoid, softmax
from pipeline.recognition.looks import Looks

Floats = NDArray[np.float32]
#: What a class is answered with where each stands for itself.
NO_YES = np.array(["no", "yes"])


def one_of(scores: Floats, classes: Sequence[str], *, logits: bool = True) -> Looks:
    """Looks at an attribute that is one of `classes`.

    Args:
        scores: (M, classes).
        classes: all different, none empty.
        logits: whether the probabilities are the scores' softmax, or the scores.
    """
    return _looks(np.array(classes), softmax(scores) if logits else scores)


def each_of(scores: Floats, classes: Sequence[str], *, logits: bool = True) -> Mapping[str, Looks]:
    """Looks at several attributes, each of which an object has or has not.

    Args:
        scores: (M, classes).
        classes: names of the attributes.
        logits: whether the probabilities are the scores' sigmoid, or the scores.
    """
    yes = sigmoid(scores) if logits else scores
    return {
        name: _looks(NO_YES, np.stack((1 - yes[:, column], yes[:, column]), axis=1))
        for column, name in enumerate(classes)
    }


def _looks(values: NDArray[np.str_], probabilities: Floats) -> Looks:
    """A network that gives probabilities by itself may miss 0..1 by a rounding, or by more."""
    weights = np.clip(probabilities, 0, 1).astype(np.float32)
    return Looks(values, weights, np.ones(len(weights), np.bool_))
