"""ONNX → a shared library for this machine's CPU, by TVM's Relax compiler.

Two files come out: ``network.so``, machine code with the weights in it, and ``network.json``, its
manifest, which the engine ``tvm`` wants to see before it loads code (`engines.tvm.Manifest`). TVM
reads ONNX by its own frontend; the channels go last, what belongs together is fused, and the loops
get the fixed schedule of `engines.convert.tvm_schedule`. Lengths that the network leaves open stay
open, unless the source's declared inputs fix them.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.convert import graph
from engines.convert.tvm_schedule import apply_schedules
from engines.errors import EngineUnavailable, ProgramError
from engines.program import Network
from engines.tvm import INSTALL, Manifest, host_cpu, library

PRECISION = "fp32"


def convert(source: Network, folder: Path, precision: str) -> Network:
    """Compiles an ONNX network; takes seconds to a minute.

    Args:
        source: format ``onnx``; a length its inputs declare is compiled in.
        folder: exists; gets ``network.so`` and ``network.json``.
        precision: ``fp32``.

    Raises:
        EngineUnavailable: ``apache-tvm`` or ``onnx`` is missing.
        ProgramError: another precision, a file that is no ONNX network, or an operator TVM lacks.
    """
    if precision != PRECISION:
        raise ProgramError(f"{source}: tvm compiles {PRECISION} networks only, not {precision}")
    model = graph.load(source.path)
    graph.pin(model, source.inputs)
    try:
        tvm = library()
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineUnavailable(f"tvm: {error}; run: {INSTALL}") from error
    path = folder / "network.so"
    part = folder / "network.part.so"
    try:
        _compile(model).export_library(str(part))
        code = part.read_bytes()
        manifest = Manifest(
            hashlib.sha256(code).hexdigest(),
            tvm.__version__,
            host_cpu(),
            PRECISION,
            tuple(map(graph.spec, graph.inputs(model.graph))),
            tuple(map(graph.spec, model.graph.output)),
        )
        manifest.write(path)
        part.replace(path)
    except Exception as error:
        raise ProgramError(f"{source}: tvm cannot compile it: {_reason(error)}") from error
    finally:
        part.unlink(missing_ok=True)
    return replace(source, path=path, format="tvm", sha256=manifest.sha256, precision=PRECISION)


def _compile(model: Any) -> Any:
    """The executable of a model, its open lengths as variables."""
    import tvm
    from tvm.relax import transform
    from tvm.relax.frontend.onnx import from_onnx
    from tvm.target import Target, codegen

    module = from_onnx(model, sanitize_input_names=False)
    passes = [
        transform.DecomposeOpsForInference(),
        transform.CanonicalizeBindings(),
        transform.ConvertLayout({"relax.nn.conv2d": ["NHWC", "HWIO"]}),
        _lay_out_constants,
        transform.CanonicalizeBindings(),
        transform.Normalize(),
        transform.FoldConstant(),
        transform.LegalizeOps(),
        transform.AnnotateTIROpPattern(),
        transform.FoldConstant(),
        transform.FuseOps(),
        transform.FuseTIR(),
        transform.DeadCodeElimination(),
    ]
    target = Target(
        {"kind": "llvm", "mcpu": host_cpu(), "mtriple": codegen.llvm_get_system_triple()}
    )
    with target, tvm.transform.PassContext(opt_level=3):
        for step in passes:
            module = step(module)
        return tvm.compile(apply_schedules(module), target)


def _lay_out_constants(module: Any) -> Any:
    """Weights in the order their operators want, by numpy.

    TVM's own folding compiles a function for each of them, which takes longer than all the rest.
    """
    import tvm
    from tvm import relax

    @relax.expr_functor.mutator
    class LayOut(relax.PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = self.visit_expr_post_order(call)
            if call.op.name not in ("relax.permute_dims", "relax.reshape"):
                return call
            source = call.args[0]
            if isinstance(source, relax.Var):
                source = self.lookup_binding(source)
            if not isinstance(source, tvm.ir.GenericConst):
                return call
            value = source.value.numpy()
            if call.op.name == "relax.reshape":
                return relax.const(value.reshape([int(n) for n in call.args[1].values]))
            axes = [int(axis) for axis in call.attrs.axes]
            return relax.const(np.ascontiguousarray(value.transpose(axes)))

    main = module.get_global_var("main")
    module.update_func(main, LayOut(module).visit_expr(module["main"]))
    return module


def _reason(error: Exception) -> str:
    """The line of TVM's message that says what is wrong: the last one."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
