"""Activations that exporters write as several operators, as one.

ONNX has HardSwish from opset 14 and Swish from 24 only; here both are functions of the model, so
that any runtime still runs it. SiLU is ``x sigmoid(x)`` (Elfwing et al., 2017), HardSwish
``x min(max(x + 3, 0), 6) / 6`` (Howard et al., "Searching for MobileNetV3", 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.sim_npu.compiler.passes.links import Links

#: Domain of the activations that are functions of the model.
DOMAIN = "sightline.activation"
#: First version of ONNX's files that may hold functions.
_IR_VERSION = 8

Makers = Mapping[str, Any]


def fuse_activations(model: Any) -> None:
    """SiLU and HardSwish, however they are written, as one node each."""
    from onnx import helper

    graph = model.graph
    known, links = onnx_graph.constants(graph), Links.of(graph)
    found = set()
    for node in graph.node:
        for name, match in _PATTERNS.items():
            source = match(node, links.makers, known)
            if source is not None:
                made = helper.make_node(name, [source], list(node.output), domain=DOMAIN)
                node.CopyFrom(made)
                found.add(name)
                break
    if found:
        _define(model, found)
        onnx_graph.drop_unread(graph)


def _define(model: Any, names: set[str]) -> None:
    """Writes what the activations are into the model, in operators that every opset has."""
    from onnx import helper

    gates = {"Silu": ("Sigmoid", {}), "HardSwish": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5})}
    standard = helper.make_opsetid("", onnx_graph.opset(model))
    for name in sorted(names):
        kind, settings = gates[name]
        body = [
            helper.make_node(kind, ["x"], ["gate"], **settings),
            helper.make_node("Mul", ["x", "gate"], ["y"]),
        ]
        model.functions.append(helper.make_function(DOMAIN, name, ["x"], ["y"], body, [standard]))
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    model.ir_version = max(model.ir_version, _IR_VERSION)


def _silu(node: Any, makers: Makers, known: Constants) -> str | None:
    """What a node is SiLU of, if it is."""
    for x, gate in _products(node):
        maker = makers.get(gate)
        if maker is not None and maker.op_type == "Sigmoid" and maker.input[0] == x:
            return x
    return None


def _hard_swish(node: Any, makers: Makers, known: Constants) -> str | None:
    """What a node is HardSwish of: by ``HardSigmoid``, or by ``Clip(x + 3, 0, 6) / 6``."""
    for x, gate in _products(node):
        maker = makers.get(gate)
        if maker is None:
            continue
        if maker.op_type == "HardSigmoid" and maker.input[0] == x:
            given = onnx_graph.attributes(maker)
            sixth, half = given.get("alpha", 0.2), given.get("beta", 0.5)
            return x if np.isclose([sixth, half], [1 / 6, 0.5]).all() else None
        inner, factor = _factor(maker, known)
        if np.isclose(factor, 1 / 6) and _is_relu6_of(makers.get(inner), x, makers, known):
            return x
    product, factor = _factor(node, known)
    if np.isclose(factor, 1 / 6) and (maker := makers.get(product)) is not None:
        for x, gate in _products(maker):
            if _is_relu6_of(makers.get(gate), x, makers, known):
                return x
    return None


_PATTERNS: dict[str, Callable[[Any, Makers, Constants], str | None]] = {
    "Silu": _silu,
    "HardSwish": _hard_swish,
}


def _products(node: Any) -> list[tuple[str, str]]:
    """The factors of a ``Mul``, either way round."""
    if node.op_type != "Mul":
        return []
    a, b = node.input
    return [(a, b), (b, a)]


def _factor(node: Any, known: Constants) -> tuple[str, float]:
    """What a node multiplies, or divides, by one constant; 1 where it does not."""
    if node.op_type in ("Mul", "Div"):
        a, b = node.input
        if b in known and known[b].size == 1:
            value = known[b].item()
            return a, value if node.op_type == "Mul" else 1 / value if value else 1.0
        if node.op_type == "Mul" and a in known and known[a].size == 1:
            return b, known[a].item()
    return node.input[0] if node.input else "", 1.0


def _is_relu6_of(clip: Any | None, x: str, makers: Makers, known: Constants) -> bool:
    """Whether a node is ``Clip(x + 3, 0, 6)``."""
    if clip is None or clip.op_type != "Clip":
        return False
    given = onnx_graph.attributes(clip)
    limits = [known[name].item() for name in clip.input[1:] if name in known]
    limits = limits or [given.get("min"), given.get("max")]
    three = makers.get(clip.input[0])
    if limits != [0, 6] or three is None or three.op_type != "Add" or x not in three.input:
        return False
    other = next((name for name in three.input if name != x), x)
    return other in known and known[other].size == 1 and known[other].item() == 3
