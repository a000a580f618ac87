"""The work between the networks as kernels: on the host as it is, on other engines as ONNX.

One file a kernel: a function that describes it as an `engines.program.Kernel`, whose host side is
the very code that runs where nothing is bound, with its ONNX form beside it. `docs/kernels.md` has
the tensors and tolerances.
"""
