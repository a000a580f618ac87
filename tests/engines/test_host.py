"""The engine that calls a kernel's own function."""

from __future__ import annotations

import numpy as np
import pytest

import engines
from engines import (
    ForwardError,
    Kernel,
    Network,
    OptionError,
    ProgramError,
    TensorError,
    TensorSpec,
)
from engines.program import Tensors

ROWS = TensorSpec("rows", (-1, 3), np.dtype("float32"))
SUMS = TensorSpec("sums", (-1,), np.dtype("float32"))


def sums(tensors: Tensors) -> Tensors:
    return {"sums": tensors["rows"].sum(axis=1)}


def prepared(kernel: Kernel, precision: str = "") -> engines.Engine:
    engine = engines.create("host0", "host", precision=precision)
    engine.init()
    engine.prepare(kernel)
    return engine


def test_runs_the_function_on_any_length() -> None:
    with prepared(Kernel("sums", {}, (ROWS,), (SUMS,), sums)) as engine:
        for count in (0, 1, 5):
            engine.set_tensor("rows", np.ones((count, 3), np.float32))
            engine.forward()
            assert engine.get_tensor("sums").tolist() == [3.0] * count
        assert engine.report()["precision"] == "fp32"


def test_hands_the_array_on_without_a_copy() -> None:
    seen = []

    def look(tensors: Tensors) -> Tensors:
        seen.append(tensors["rows"])
        return sums(tensors)

    rows = np.ones((2, 3), np.float32)
    with prepared(Kernel("sums", {}, (ROWS,), (SUMS,), look)) as engine:
        engine.set_tensor("rows", rows)
        engine.forward()
    assert seen[-1] is rows


def test_a_network_or_a_kernel_without_function_is_refused(tmp_path: object) -> None:
    for program in (Kernel("hog-people"), Network(tmp_path, "onnx")):  # type: ignore[arg-type]
        assert not engines.engine_class("host").can_run(program)
        with pytest.raises(ProgramError, match="kernels that have a function"):
            prepared(program)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({}, ForwardError, "gave no sums: float32"),
        ({"sums": np.zeros(2)}, TensorError, "got float64"),
    ],
)
def test_a_function_that_breaks_its_promise_is_told_before_the_first_frame(
    given: Tensors, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        prepared(Kernel("sums", {}, (ROWS,), (SUMS,), lambda tensors: given))


def test_a_function_that_raises_is_a_forward_error_and_nothing_breaks() -> None:
    def fails(tensors: Tensors) -> Tensors:
        if tensors["rows"].any():
            raise ValueError("no such row")
        return sums(tensors)

    with prepared(Kernel("sums", {}, (ROWS,), (SUMS,), fails)) as engine:
        engine.set_tensor("rows", np.ones((2, 3), np.float32))
        with pytest.raises(ForwardError, match="no such row"):
            engine.forward()
        engine.set_tensor("rows", np.zeros((2, 3), np.float32))
        engine.forward()
        assert engine.get_tensor("sums").tolist() == [0, 0]


def test_no_other_device_or_precision() -> None:
    with pytest.raises(OptionError, match="there is cpu"):
        engines.create("host0", "host", "cuda").init()
    with pytest.raises(ProgramError, match="computes in fp32"):
        prepared(Kernel("sums", {}, (ROWS,), (SUMS,), sums), "fp16")
