"""Running a kernel on the engines that can."""

from __future__ import annotations

import numpy as np

import engines
from engines import Kernel
from engines.program import Tensors

#: Backends that read ONNX and run here; which of them reads which kernel is in docs/kernels.md.
READERS = [info.name for info in engines.describe() if info.devices and "onnx" in info.formats]
#: What OpenCV's importer does not take: results of unknown length, shapes known at run time only.
UNREADABLE = {
    "opencv": (
        "head-decode", "proposals", "roi-align", "roi-pool", "roi-objects", "kalman-predict",
    )
}  # fmt: skip


def run(backend: str, kernel: Kernel, tensors: Tensors) -> Tensors:
    """The kernel's outputs on that backend."""
    with engines.create("e", backend) as engine:
        engine.init()
        engine.prepare(kernel)
        assert engine.inputs == kernel.inputs
        for name, array in tensors.items():
            engine.set_tensor(name, array)
        engine.forward()
        return {spec.name: engine.get_tensor(spec.name) for spec in kernel.outputs}


def readers(kernel: str) -> list[str]:
    """Those of `READERS` that read this kernel."""
    return [name for name in READERS if kernel not in UNREADABLE.get(name, ())]


def by_score(found: Tensors) -> list[np.ndarray]:
    """The scores and all that belongs to them, in an order not depending on how ties are broken."""
    names = ["scores", *sorted(found.keys() - {"scores"})]
    table = np.column_stack([found[name].astype(np.float64) for name in names])
    return list(table[np.lexsort(table.round(3).T)])
