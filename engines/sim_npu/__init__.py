"""A simulated NPU: an accelerator as awkward as a real one, described in docs/npu.md.

Two parts that never import each other: the `compiler` turns an ONNX network into an artefact, the
`runtime` runs an artefact as the device would. What both know lies in three neutral modules:
`artefact` (the file between them), `operators` (what the device can do) and `profiles` (which
devices there are).
"""
