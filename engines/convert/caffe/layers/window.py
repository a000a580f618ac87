"""How Caffe writes a window's two lengths: once for both, once each, or by name."""

from __future__ import annotations

from engines.convert.caffe.building import Work
from engines.convert.caffe.text import Message

Pair = tuple[int, int]
#: Of a kernel, stride, pad or dilation; keeps what is worked out with them within 64 bits.
_LONGEST = 1 << 16


def pair(work: Work, parameters: Message, what: str, low: int, default: int | None) -> Pair:
    """Vertical and horizontal length of ``kernel``, ``stride``, ``pad`` or ``dilation``.

    Raises:
        ProgramError: a length below `low`, or none though there is no `default`.
    """
    both = parameters.integers("kernel_size" if what == "kernel" else what, low, _LONGEST)
    if len(both) > 2:
        raise work.error(f"{what} has {len(both)} lengths; two-dimensional windows have 2")
    vertical = parameters.integers(f"{what}_h", low, _LONGEST)
    horizontal = parameters.integers(f"{what}_w", low, _LONGEST)
    if vertical and horizontal:
        return vertical[-1], horizontal[-1]
    if both:
        return both[0], both[-1]
    if default is None:
        raise work.error(f"it has no {what}_size")
    return (vertical or [default])[-1], (horizontal or [default])[-1]
