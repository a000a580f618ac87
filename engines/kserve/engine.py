"""KServe: networks that a server runs, such as Triton, over KServe's inference protocol, version 2.

The device is the server: ``grpc://127.0.0.1:8001``, ``http://127.0.0.1:8000``, or ``grpcs://`` and
``https://`` over TLS. So whatever shows a device shows where the work is done, and one engine of a
configuration moves to a server, its model staying as it is:

    --set 'engines.det0={backend: kserve, device: "grpc://127.0.0.1:8001"}'

That is why this backend takes ONNX networks: "the server has this network under its name". The name
is the option ``remote``, else the file's without suffix; the file itself is not sent. A network
that exists on the server only is a small YAML file (format ``kserve``): ``model: name`` and, where
it matters, ``version: "1"``. The server's description of the model must agree with the tensors
declared here; whether its weights are the same it does not tell, nor what it computes in.

Tensors travel as raw bytes; a server that takes none over HTTP takes them over gRPC. Shared memory,
which Triton offers to clients of its own machine, is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import yaml
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.errors import (
    EngineUnavailable,
    ForwardError,
    OptionError,
    ProgramError,
    TensorError,
)
from engines.kserve.grpc import GrpcClient
from engines.kserve.http import HttpClient
from engines.kserve.protocol import DTYPES, Client, ServerError
from engines.options import Options
from engines.program import Network, Program, Tensors
from engines.tensor import TensorSpec

INSTALL = "pip install 'sightline[kserve]'"
#: Scheme of a server's address → its client, and whether over TLS.
CLIENTS: dict[str, tuple[Callable[..., Client], bool]] = {
    "grpc": (GrpcClient, False),
    "grpcs": (GrpcClient, True),
    "http": (HttpClient, False),
    "https": (HttpClient, True),
}
#: Longest time an answer may be given.
MAX_SECONDS = 3600
#: What a server computes in, which the protocol does not tell.
AS_SERVED = "as served"


@dataclass(frozen=True, slots=True)
class KserveOptions(Options):
    """Options of `backend: kserve`.

    Attributes:
        remote: the model's name on the server; empty: the network's own.
        version: of the model; empty leaves the choice to the server.
        answer_s: the longest that an answer may take, seconds.
        token: sent as ``Authorization: Bearer``; write ``${NAME}`` and keep it in the environment.
        ca: path of the certificates to trust over TLS, as PEM; empty for the usual ones.
    """

    remote: str = ""
    version: str = ""
    answer_s: float = 5.0
    token: str = field(default="", repr=False)
    ca: str = ""

    def __post_init__(self) -> None:
        for name in ("remote", "version", "ca"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise OptionError(f"{name}: expected text, got {value!r}; put it in quotes")
        token: object = self.token
        if not isinstance(token, str) or not token.isascii() or not f"x{token}".isprintable():
            raise OptionError("token: expected printable ASCII characters")
        seconds: object = self.answer_s
        number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not number or not 0 < self.answer_s <= MAX_SECONDS:
            raise OptionError(
                f"answer_s: expected seconds > 0 and at most {MAX_SECONDS}, got {seconds!r}"
            )


class KserveEngine(Engine):
    """Has a server run a network.

    A server that does not answer in time, is gone, or answers nonsense is a `ForwardError`, never a
    hang; the next `forward` connects anew.
    """

    backend = "kserve"
    formats: ClassVar[tuple[str, ...]] = ("onnx", "kserve")
    from_memory: ClassVar[bool] = True
    options_type = KserveOptions
    options: KserveOptions

    def __init__(
        self, engine_id: str, device: str, options: KserveOptions, precision: str = ""
    ) -> None:
        if "@" in device:  # told before the device gets into any message
            raise OptionError(
                "device: a server's address holds no user and no password; use the option token"
            )
        if precision:
            raise OptionError(
                f"precision: the server decides and does not tell, got {precision!r}; leave it out"
            )
        super().__init__(engine_id, device, options)
        self._client: Client | None = None
        self._server = ""

    @classmethod
    def can_run(cls, program: Program) -> bool:
        """A server hosts networks; nobody puts a kernel there."""
        return isinstance(program, Network) and super().can_run(program)

    @classmethod
    def describe(cls) -> BackendInfo:
        """No device is on this machine."""
        dtypes = tuple(DTYPES.values())
        try:
            found = version("tritonclient")
        except PackageNotFoundError as error:
            return BackendInfo(cls.backend, "", (), dtypes, cls.formats, (), str(error), INSTALL)
        return BackendInfo(cls.backend, found, (), dtypes, cls.formats, (), "", "")

    def _init(self) -> None:
        self._client = self._made_client()
        try:
            self._server = self._client.server()
        except (OSError, ServerError) as error:
            raise EngineUnavailable(
                f"{self}: no server of KServe's protocol, version 2: {error}; start it, or correct "
                "the engine's device"
            ) from error

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        assert self._client is not None  # `_init` has made it
        self._model, self._version = self._remote(program)
        try:
            served = self._client.model(self._model, self._version)
        except OSError as error:
            raise EngineUnavailable(f"{self}: {error}") from error
        except ServerError as error:
            raise ProgramError(
                f"{program}: {self} does not serve it as model {self._model!r}: {error}; load it "
                "there, or name it with the engine's option remote"
            ) from error
        self._platform, self.precision = served.platform, AS_SERVED
        inputs = _under_declared_names(program, program.inputs, served.inputs)
        outputs = _under_declared_names(program, program.outputs, served.outputs)
        self._feeds = {name: spec.name for name, spec in inputs.items()}
        self._reads = {name: spec.name for name, spec in outputs.items()}
        return (
            tuple(replace(spec, name=name) for name, spec in inputs.items()),
            tuple(replace(spec, name=name) for name, spec in outputs.items()),
        )

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        assert self._client is not None  # `_init` has made it
        fed = {self._feeds[name]: array for name, array in inputs.items()}
        wanted = [self._reads[spec.name] for spec in self.outputs]
        try:
            found = self._client.infer(self._model, self._version, fed, wanted)
            if missing := [name for name in wanted if name not in found]:
                raise ServerError(f"gave no {missing[0]!r}, but {', '.join(found) or 'nothing'}")
            results = {spec.name: found[self._reads[spec.name]] for spec in self.outputs}
            for spec in self.outputs:
                spec.validate(results[spec.name])
        except (OSError, ServerError, TensorError) as error:
            raise ForwardError(f"{self}: model {self._model!r}: {error}") from error
        return results

    def _destroy(self) -> None:
        if self._client is not None:
            self._client.close()

    def report(self) -> dict[str, Any]:
        if not self.inputs:
            return super().report() | {"server": self._server}
        return super().report() | {
            "server": self._server,
            "model": self._model,
            "version": self._version,
            "platform": self._platform,
        }

    def _made_client(self) -> Client:
        options = self.options
        try:
            address = urlsplit(self.device)
            complete = bool(address.hostname and address.port)
        except ValueError:  # a port that is no number
            complete = False
        if not complete or address.scheme not in CLIENTS or address.path or address.query:
            raise OptionError(
                f"{self}: device: expected a server's address such as grpc://127.0.0.1:8001 or "
                "http://127.0.0.1:8000"
            )
        client, secure = CLIENTS[address.scheme]
        ca = Path(options.ca) if options.ca else None
        try:
            return client(address.netloc, secure, ca, options.token, options.answer_s)
        except ImportError as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error
        except OSError as error:
            raise OptionError(f"{self}: ca: {options.ca} cannot be used: {error}") from error

    def _remote(self, program: Network) -> tuple[str, str]:
        """The model's name and version on the server."""
        name, version_ = program.path.stem, ""
        if program.format == "kserve":
            name, version_ = _read(program)
        return self.options.remote or name, self.options.version or version_


def _read(program: Network) -> tuple[str, str]:
    """What a file of format ``kserve`` says. Raises `ProgramError`."""
    try:
        said = yaml.safe_load(program.content or program.path.read_bytes())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProgramError(f"{program}: cannot be read as YAML: {error}") from error
    known = {"model", "version"}
    if not isinstance(said, dict) or not said.get("model") or set(said) - known:
        raise ProgramError(f'{program}: expected model: NAME and, if need be, version: "1"')
    for key, value in said.items():
        if not isinstance(value, str):
            raise ProgramError(f"{program}: {key}: expected text, got {value!r}; put it in quotes")
    return said["model"], said.get("version", "")


def _under_declared_names(
    program: Network, declared: tuple[TensorSpec, ...], served: tuple[TensorSpec, ...]
) -> dict[str, TensorSpec]:
    """The served tensors by declared name: by position where the server has none of the names.

    Such as ``INPUT__0``, which Triton calls the first input of a TorchScript network. Without
    declared tensors, the served ones are taken, and the other way round.
    """
    by_name = {spec.name: spec for spec in served or declared}
    if not by_name:
        raise ProgramError(f"{program}: the server does not tell its tensors; declare them")
    if any(spec.name in by_name for spec in declared) or len(declared) != len(by_name):
        return by_name
    return {spec.name: real for spec, real in zip(declared, by_name.values(), strict=True)}
