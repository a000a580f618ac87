"""The shortest correct calls of each library, as somebody without our engines would write them.

One function a backend: it loads a network as our engine loads it (one thread, fp32), and gives a
function from the input ``x`` to the outputs, in arrays that no later call changes. What a library
gives as a view into memory of its own is therefore copied here as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.mnn import stdout_on_stderr
from engines.openvino import library
from engines.program import Kernel, Network
from engines.tvm import library as tvm_library

Image = NDArray[Any]  # float32
Run = Callable[[Image], Sequence[Image]]


def onnxruntime(network: Network) -> Run:
    """`InferenceSession.run`."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = ort.InferenceSession(network.path, settings, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    return lambda x: session.run(names, {"x": x})


def onnxruntime_bound(network: Network) -> Run:
    """`InferenceSession.run_with_iobinding`, all tensors bound once."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = ort.InferenceSession(network.path, settings, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    shapes = {node.name: node.shape for node in (*session.get_inputs(), *session.get_outputs())}
    made = ort.OrtValue.ortvalue_from_shape_and_type
    image, *results = (made(shape, np.float32) for shape in shapes.values())
    binding.bind_ortvalue_input("x", image)
    for node, result in zip(session.get_outputs(), results, strict=True):
        binding.bind_ortvalue_output(node.name, result)

    def run(x: Image) -> Sequence[Image]:
        image.update_inplace(x)
        session.run_with_iobinding(binding)
        return [result.numpy().copy() for result in results]

    return run


def openvino(network: Network) -> Run:
    """A request that reads `x` where it lies and gives its outputs as views."""
    ov, request = library(), _openvino_request(network)
    results = _openvino_results(request)

    def run(x: Image) -> Sequence[Image]:
        request.set_input_tensor(0, ov.Tensor(x, shared_memory=True))
        request.infer(share_outputs=True)
        return [result.copy() for result in results]

    return run


def openvino_bound(network: Network) -> Run:
    """A request whose tensors are numpy arrays."""
    request = _openvino_request(network)
    image = request.get_input_tensor(0).data
    results = _openvino_results(request)

    def run(x: Image) -> Sequence[Image]:
        np.copyto(image, x)
        request.infer(share_outputs=True)
        return [result.copy() for result in results]

    return run


def _openvino_request(network: Network) -> Any:
    config = {
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    return library().Core().compile_model(network.path, "CPU", config).create_infer_request()


def _openvino_results(request: Any) -> list[Image]:
    """The outputs where the request keeps them."""
    return [request.get_output_tensor(place).data for place in range(len(request.model_outputs))]


def ncnn(network: Network) -> Run:
    """An extractor a picture; without the clone ncnn would write into `x`."""
    import ncnn as library

    net = library.Net()
    net.opt.num_threads = 1
    net.load_param(str(network.path))
    net.load_model(str(network.path.with_suffix(".bin")))
    names = [spec.name for spec in network.outputs]

    def run(x: Image) -> Sequence[Image]:
        extractor = net.create_extractor()
        extractor.input("x", library.Mat(x[0]).clone())
        return [np.array(extractor.extract(name)[1])[None] for name in names]

    return run


def mnn(network: Network) -> Run:
    """A session whose tensors are numpy arrays."""
    with stdout_on_stderr():
        import MNN
    interpreter = MNN.Interpreter(str(network.path))
    names = tuple(spec.name for spec in network.outputs)
    session = interpreter.createSession({"numThread": 1, "precision": 1, "saveTensors": names})
    image = interpreter.getSessionInput(session)
    results = interpreter.getSessionOutputAll(session)

    def run(x: Image) -> Sequence[Image]:
        np.copyto(image.getNumpyData(), x)
        interpreter.runSession(session)
        return [np.array(results[name].getNumpyData()) for name in names]

    return run


def litert(network: Network) -> Run:
    """An interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(network.path), num_threads=1)
    interpreter.allocate_tensors()
    (place,) = (details["index"] for details in interpreter.get_input_details())
    places = [details["index"] for details in interpreter.get_output_details()]

    def run(x: Image) -> Sequence[Image]:
        interpreter.set_tensor(place, x)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in places]

    return run


def torch(network: Network) -> Run:
    """A TorchScript module."""
    import torch as library

    library.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated
        module = library.jit.load(str(network.path)).eval()

    def run(x: Image) -> Sequence[Image]:
        with library.inference_mode(), library.jit.optimized_execution(False):
            results = module(library.from_numpy(x))
        tensors = results if isinstance(results, (list, tuple)) else [results]
        return [tensor.numpy() for tensor in tensors]

    return run


def opencv(network: Network) -> Run:
    """`cv2.dnn`, whose outputs are views into the network."""
    import cv2

    net = cv2.dnn.readNetFromONNX(str(network.path))
    names = [spec.name for spec in network.outputs]

    def run(x: Image) -> Sequence[Image]:
        net.setInput(x, "x")
        return [result.copy() for result in net.forward(names)]

    return run


def tvm(network: Network) -> Run:
    """Relax's virtual machine, its input in memory aligned for its vectors."""
    library = tvm_library()
    from tvm import relax

    machine = relax.VirtualMachine(library.runtime.load_module(str(network.path)), library.cpu())
    main = machine["main"]
    library.get_global_func("runtime.config_threadpool")(1, 1)
    image = library.runtime.empty(network.inputs[0].shape, "float32")
    view = np.from_dlpack(image)
    single = len(network.outputs) == 1

    def run(x: Image) -> Sequence[Image]:
        np.copyto(view, x)
        found: Any = main(image)
        return [np.from_dlpack(tensor) for tensor in ([found] if single else found)]

    return run


def host(kernel: Kernel) -> Run:
    """The kernel's own function."""
    function = kernel.function
    assert function is not None
    return lambda x: list(function({"x": x}).values())
