"""The operators of the simulated NPU: what each takes and what it does, in words.

The equations are in docs/npu.md. All tensors between operators are int8 with one scale and one zero
point each, ``real = (stored - zero_point) * scale``. An operator that
makes another scale carries its rescaling in its constants, in the form of the artefact's rounding:

* ``fixed``: `multiplier` int32 in 1 … 2³¹-1 and `shift` uint8 in 0 … `MAX_SHIFT`; a sum s becomes
  floor(s · multiplier / 2^shift + 1/2): round half up;
* ``float``: `ratio` float32; a sum s becomes float32(s) · ratio, rounded half to even. `add` and
  `mul` have no ratio: they are ONNX's DequantizeLinear, Add or Mul, QuantizeLinear in float32.

Either is then offset by the output's zero point and saturated to -128 … 127.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The ways to round, of a whole artefact.
ROUNDINGS = ("fixed", "float")
#: The largest right shift; smaller ratios have shorter multipliers.
MAX_SHIFT = 44
#: A sum must stay below this, for any input: the compiler proves it from the weights.
MAX_SUM = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Operator:
    """One row of the table.

    Attributes:
        inputs: how many tensors it takes; 0 stands for one or more.
        constants: that it needs, whatever the rounding.
        rescales: whether the constants `multiplier` and `shift`, or `ratio`, are needed; where not,
            all its tensors have one scale and zero point, or a table says what becomes of them.
        attributes: by name, with what they mean; all must be given.
        meaning: in one sentence.
        own_scales: whether it needs no `ratio`, because it takes its tensors' scales.
    """

    inputs: int
    meaning: str
    constants: tuple[str, ...] = ()
    rescales: bool = False
    attributes: tuple[tuple[str, str], ...] = ()
    own_scales: bool = False

    def rescaling(self, rounding: str) -> tuple[str, ...]:
        """Names of the constants it rescales with."""
        if not self.rescales:
            return ()
        if rounding == "fixed":
            return ("multiplier", "shift")
        return () if self.own_scales else ("ratio",)


_WINDOW = (
    ("strides", "two integers ≥ 1: down, right"),
    ("pads", "four integers ≥ 0: top, left, bottom, right; padded with the real number 0"),
)

#: By name. Shapes are N, C, H, W unless said otherwise.
OPERATORS: dict[str, Operator] = {
    "conv": Operator(
        1,
        "sum of (x - zero point) · weight over the window, plus bias; rescaled per output channel",
        # weights int8 [O, C / groups, kh, kw], bias int32 [O]; rescaling [O]
        ("weights", "bias"),
        True,
        (*_WINDOW, ("dilations", "two integers ≥ 1"), ("groups", "integer ≥ 1")),
    ),
    "gemm": Operator(
        1,
        "x [N, K] against weights [O, K]: the same sum; rescaled per output channel",
        ("weights", "bias"),
        True,
    ),
    # fixed: multiplier int32 [2], one an input, and one shift [1]: the sum is rounded once.
    "add": Operator(
        2,
        "(a - zero point) and (b - zero point), each rescaled, then added",
        (),
        True,
        own_scales=True,
    ),
    "mul": Operator(
        2, "(a - zero point) · (b - zero point), rescaled", rescales=True, own_scales=True
    ),
    "average_pool": Operator(
        1,
        "sum of (x - zero point) over the window, padding included; the ratio divides",
        (),
        True,
        (("kernel", "two integers ≥ 1"), *_WINDOW),
    ),
    "max_pool": Operator(
        1,
        "largest of the window; padding never wins",
        attributes=(("kernel", "two integers ≥ 1"), *_WINDOW),
    ),
    "lookup": Operator(
        1,
        "table[x + 128]: any function of one tensor; table int8 [256], or [C, 256]: one a channel",
        ("table",),
    ),
    # average_pool and mul: multiplier, shift or ratio [1].
    # tables int8 [inputs, 256]: one rescaling each, worked out by the compiler.
    "concat": Operator(
        0,
        "each input through its table, then joined",
        ("tables",),
        attributes=(("axis", "integer ≥ 0"),),
    ),
    "resize_nearest": Operator(
        1,
        "each element repeated",
        attributes=(("factors", "two integers ≥ 1: down, right"),),
    ),
    "transpose": Operator(
        1, "axes in another order", attributes=(("axes", "a permutation, as numpy's"),)
    ),
    "reshape": Operator(1, "the same elements in order", attributes=(("shape", "all lengths"),)),
    "slice": Operator(
        1,
        "every step-th element from start to before stop, on each axis",
        attributes=(
            ("starts", "one integer ≥ 0 an axis"),
            ("stops", "one integer an axis"),
            ("steps", "one integer ≥ 1 an axis"),
        ),
    ),
}
