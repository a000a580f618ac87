"""OpenCV: the people detector built into it, and networks through its DNN module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from time import perf_counter_ns
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.convert.caffe import weights_beside
from engines.convert.caffe.network import read_network
from engines.errors import EngineUnavailable, OptionError, ProgramError
from engines.options import Options
from engines.program import Kernel, Network, Program, Tensors
from engines.tensor import TensorSpec
from engines.traffic import size_of

INSTALL = "pip install opencv-python-headless"

HOG_INPUT = TensorSpec("image", (1, -1, -1, 3), np.dtype("uint8"), "nhwc")
HOG_OUTPUTS = (
    TensorSpec("boxes", (1, -1, 4), np.dtype("float32")),
    TensorSpec("scores", (1, -1), np.dtype("float32")),
)
#: Parameters of the kernel ``hog-people`` and their defaults, as in `cv2.HOGDescriptor`.
HOG_DEFAULTS = {"hit_threshold": 0.0, "win_stride": 8, "padding": 8, "scale": 1.05}
HOG_WINDOW = (64, 128)


@dataclass(frozen=True, slots=True)
class OpenCvOptions(Options):
    """Options of `backend: opencv`.

    Attributes:
        threads: that share OpenCV's work; 0 leaves OpenCV its own choice, mostly all cores. OpenCV
            has one number for the whole process, its picture operations included, so the engine
            that is loaded last says.
    """

    threads: int = 0


class OpenCvEngine(Engine):
    """Runs on OpenCV's CPU code.

    Kernel ``hog-people``: Dalal and Triggs, "Histograms of Oriented Gradients for Human
    Detection", CVPR 2005, with the classifier that ships inside OpenCV. Input ``image``: one BGR
    picture. Outputs ``boxes``: xyxy in input pixels, of the whole 64×128 detection window, which
    has a margin around the person; ``scores``: distance from the separating plane, above
    `hit_threshold`. Windows that overlap are all given, in falling order of score.

    Networks: OpenCV does not tell a network's inputs, so they must be declared.
    """

    backend = "opencv"
    formats: ClassVar[tuple[str, ...]] = ("onnx", "caffe")
    kernels: ClassVar[tuple[str, ...]] = ("hog-people",)
    from_memory: ClassVar[bool] = True
    options_type = OpenCvOptions
    options: OpenCvOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            import cv2
        except ImportError as error:
            return BackendInfo(
                cls.backend, "", (), (), cls.formats, cls.kernels, str(error), INSTALL
            )
        return BackendInfo(
            cls.backend, cv2.__version__, ("cpu",), ("float32",), cls.formats, cls.kernels, "", ""
        )

    def _init(self) -> None:
        if self.device != "cpu":
            raise OptionError(f"{self}: no such device; there is cpu")
        try:
            import cv2
        except ImportError as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error
        self._cv2 = cv2
        if self.options.threads:
            cv2.setNumThreads(self.options.threads)

    def report(self) -> dict[str, Any]:
        threads = self._cv2.getNumThreads() if hasattr(self, "_cv2") else self.options.threads
        return super().report() | {"threads": threads}

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        if isinstance(program, Kernel):
            self.precision = "fp32"
            self._run = self._hog(program.parameters)
            return (HOG_INPUT,), HOG_OUTPUTS
        if not program.inputs or not program.outputs:
            raise ProgramError(f"{program}: OpenCV needs the inputs and outputs declared")
        self._run = self._network(program)
        return program.inputs, program.outputs

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        return self._run(inputs)

    def _destroy(self) -> None:
        self._run = dict

    def _hog(self, parameters: Mapping[str, Any]) -> Callable[[Tensors], Tensors]:
        for name in parameters:
            if name not in HOG_DEFAULTS:
                near = get_close_matches(name, HOG_DEFAULTS, 1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise ProgramError(f"kernel hog-people has no parameter {name!r}{hint}")
        chosen = HOG_DEFAULTS | dict(parameters)
        stride, padding = int(chosen["win_stride"]), int(chosen["padding"])
        hog = self._cv2.HOGDescriptor()
        people = self._cv2.HOGDescriptor.getDefaultPeopleDetector()
        hog.setSVMDetector(np.asarray(people, np.float32))

        def run(inputs: Tensors) -> Tensors:
            image = inputs["image"][0]
            if image.shape[1] < HOG_WINDOW[0] or image.shape[0] < HOG_WINDOW[1]:
                return _boxes(np.empty((0, 4)), np.empty(0))
            # groupThreshold 0: OpenCV's grouping depends on the order its threads finish in.
            windows, weights = hog.detectMultiScale(
                image,
                hitThreshold=float(chosen["hit_threshold"]),
                winStride=(stride, stride),
                padding=(padding, padding),
                scale=float(chosen["scale"]),
                groupThreshold=0,
            )
            return _boxes(np.reshape(windows, (-1, 4)), np.reshape(weights, -1))

        return run

    def _network(self, program: Network) -> Callable[[Tensors], Tensors]:
        try:
            if program.format == "caffe":
                if program.content is not None:
                    raise ProgramError(f"{program}: OpenCV loads Caffe networks from files only")
                weights = weights_beside(program.path)
                net = self._cv2.dnn.readNetFromCaffe(str(program.path), str(weights))
            else:
                net = self._cv2.dnn.readNetFromONNX(_source(program))
        except self._cv2.error as error:
            raise ProgramError(
                f"{program.path}: OpenCV cannot load it as {program.format}: {error.err}"
            ) from error
        names = [spec.name for spec in program.outputs]
        layers = _caffe_layers(program, net.getLayerNames()) if program.format == "caffe" else {}

        def run(inputs: Tensors) -> Tensors:
            started_ns = perf_counter_ns()
            for name, array in inputs.items():
                net.setInput(array, name)
            self.traffic.copied_in.add(size_of(inputs.values()), started_ns)
            results = net.forward([layers.get(name, name) for name in names])
            return dict(zip(names, self.traffic.copied_out.copies(results), strict=True))

        return run


def _source(program: Network) -> Any:
    """An ONNX network as OpenCV takes it: the file's name, or its content."""
    if program.content is None:
        return str(program.path)
    return np.frombuffer(program.content, np.uint8)


def _caffe_layers(program: Network, known: Sequence[str]) -> dict[str, str]:
    """The layer OpenCV knows each output by: that which writes the blob last."""
    writers = {top: layer for layer in read_network(program.path).layers for top in layer.tops}
    return {
        top: layer.name for top, layer in writers.items() if top not in known or layer.name in known
    }


def _boxes(windows_xywh: NDArray[Any], weights: NDArray[Any]) -> Tensors:
    """Windows as the kernel's outputs, in an order that does not depend on threads."""
    x, y, w, h = np.asarray(windows_xywh, np.float32).T
    scores = np.asarray(weights, np.float32)
    order = np.lexsort((h, w, y, x, -scores))
    boxes = np.stack([x, y, x + w, y + h], axis=1)[order]
    return {"boxes": boxes[None], "scores": scores[order][None]}
