"""What turns a network's logits into probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without overflow at either end."""
    result: NDArray[np.float32] = 0.5 * (1 + np.tanh(0.5 * x))
    return result


def softmax(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis, without overflow."""
    e: NDArray[np.float32] = np.exp(x - x.max(axis=-1, keepdims=True))
    e /= e.sum(axis=-1, keepdims=True)
    return e
