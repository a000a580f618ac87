"""YOLOX's Focus layer as one convolution: the device has no strided slices."""

from __future__ import annotations

from typing import Any

from engines.convert import focus


def fold_focus(model: Any) -> None:
    """Replaces every Focus by a convolution of twice the kernel and stride."""
    focus.fold(model)
