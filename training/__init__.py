"""Renders the sample world, trains the small models that ship with the project, exports them."""

import engines  # noqa: F401 - switches ONNX Runtime's telemetry off before it is imported
