"""``python kserve_server.py FOLDER [HTTP_PORT GRPC_PORT]``: a real server of KServe's protocol.

Serves each ``NAME.onnx`` in the folder as model NAME with ONNX Runtime, once the protocol's
repository call has loaded it. Ports of 0 are chosen by the system; the first line on the standard
output is ``{"http": port, "grpc": port}``. Listens on loopback only, which `kserve.ModelServer`
cannot; so its parts are put together here. Needs the packages kserve and onnxruntime.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import grpc.aio
import onnxruntime as ort
import uvicorn
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as stubs
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer

HOST = "127.0.0.1"
DATATYPES = {"tensor(float)": "FP32", "tensor(float16)": "FP16", "tensor(uint8)": "UINT8"}


class OnnxModel(Model):
    """One ONNX network on one thread, as the engine `onnxruntime` runs it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.stem)
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        self.session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        self.ready = True

    def get_input_types(self) -> list[dict]:
        return [described(node) for node in self.session.get_inputs()]

    def get_output_types(self) -> list[dict]:
        return [described(node) for node in self.session.get_outputs()]

    async def predict(self, payload: InferRequest, headers: dict | None = None) -> InferResponse:
        inputs = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        outputs = []
        for node, array in zip(
            self.session.get_outputs(), self.session.run(None, inputs), strict=True
        ):
            output = InferOutput(node.name, list(array.shape), DATATYPES[node.type])
            output.set_data_from_numpy(array, binary_data=True)
            outputs.append(output)
        return InferResponse(
            payload.id,
            self.name,
            outputs,
            requested_outputs=payload.request_outputs,
            use_binary_outputs=True,
        )


def described(node: ort.NodeArg) -> dict:
    shape = [n if isinstance(n, int) else -1 for n in node.shape]
    return {"name": node.name, "datatype": DATATYPES[node.type], "shape": shape}


class Folder(ModelRepository):
    """The networks of a folder, loaded when they are asked for."""

    def load(self, name: str) -> bool:
        self.update(OnnxModel(Path(self.models_dir) / f"{name}.onnx"))
        return True


async def serve(folder: Path, http_port: int, grpc_port: int) -> None:
    models = Folder(str(folder))
    plane, extension = DataPlane(models), ModelRepositoryExtension(models)
    grpc_server = grpc.aio.server(
        interceptors=(ExceptionToStatusInterceptor(),),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    servicer = InferenceServicer(plane, extension)
    stubs.add_GRPCInferenceServiceServicer_to_server(servicer, grpc_server)
    grpc_port = grpc_server.add_insecure_port(f"{HOST}:{grpc_port}")
    # asyncio sends at once (TCP_NODELAY) only where the socket says that it is TCP.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, http_port))
    listening.listen()
    rest = RESTServer("kserve.model_server:app", plane, extension, http_port)
    rest.create_application()
    await grpc_server.start()
    # Whoever started it holds the other end of its standard input: it ends with them.
    asyncio.get_running_loop().add_reader(sys.stdin, os._exit, 0)
    print(json.dumps({"http": listening.getsockname()[1], "grpc": grpc_port}), flush=True)
    await uvicorn.Server(rest.config).serve([listening])


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.argv[1:] = []  # kserve reads them too, as it is imported
    asyncio.run(serve(Path(arguments[0]), *map(int, arguments[1:] or ("0", "0"))))
