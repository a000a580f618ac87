"""The compiler of the simulated NPU: an ONNX network becomes one artefact, offline."""
