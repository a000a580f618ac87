"""What only torch does: declared tensors, precision by casting, archives that are trusted."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import EngineUnavailable, Network, OptionError, ProgramError, TensorSpec
from engines.breaker import Breaker
from engines.convert import convert
from engines.failover import Candidate, Failover
from tests.engines.processes import children
from tests.engines.subjects import picture, small_network

torch = pytest.importorskip("torch")

FLOAT, LONG = np.dtype("float32"), np.dtype("int64")
LINE = TensorSpec("line", (4,), FLOAT)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return convert(small_network(tmp_path), "torchscript", tmp_path)


def prepare(network: Network, precision: str = "", **options: object) -> engines.Engine:
    engine = engines.create("t0", "torch", precision=precision, **options)
    engine.init()
    engine.prepare(network)
    return engine


def run(engine: engines.Engine, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    for name, array in inputs.items():
        engine.set_tensor(name, array)
    engine.forward()
    return {spec.name: engine.get_tensor(spec.name) for spec in engine.outputs}


def scripted(
    path: Path, function: Callable[..., object], outputs: tuple[str, ...], inputs: int = 1
) -> Network:
    """A function of vectors of four, traced and saved."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(function, (torch.zeros(4),) * inputs, strict=False)
        torch.jit.save(traced, str(path))
    declared = tuple(replace(LINE, name=f"line{n}" if n else "line") for n in range(inputs))
    return Network(
        path, "torchscript", declared, tuple(replace(LINE, name=name) for name in outputs)
    )


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda x: x + 1, ("more",)),
        (lambda x: (x + 1, x * 2), ("more", "twice")),
        (lambda x: (x + 1, (x * 2, x * 3)), ("more", "twice", "thrice")),
        (lambda x: {"twice": x * 2, "more": x + 1}, ("more", "twice")),
        (lambda x: {"a": x + 1, "b": x * 2}, ("more", "twice")),
    ],
)
def test_outputs_by_key_or_by_place(
    tmp_path: Path, function: Callable[..., object], names: tuple[str, ...]
) -> None:
    line = np.arange(4, dtype=np.float32)
    with prepare(scripted(tmp_path / "f.pt", function, names)) as engine:
        found = run(engine, line=line)
    expected = {"more": line + 1, "twice": line * 2, "thrice": line * 3}
    assert list(found) == list(names)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


def test_inputs_in_declared_order(tmp_path: Path) -> None:
    made = scripted(tmp_path / "f.pt", lambda x, y: x - y, ("difference",), inputs=2)
    with prepare(made) as engine:
        found = run(engine, line1=np.ones(4, np.float32), line=np.full(4, 3, np.float32))
    np.testing.assert_array_equal(found["difference"], np.full(4, 2, np.float32))


def test_an_output_that_is_an_input_is_a_copy(tmp_path: Path) -> None:
    line = np.zeros(4, np.float32)
    with prepare(scripted(tmp_path / "f.pt", lambda x: x, ("same",))) as engine:
        found = run(engine, line=line)["same"]
    line += 1
    np.testing.assert_array_equal(found, np.zeros(4))


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ((LINE, LINE), r"expected outputs .*, found 1 tensors"),
        ((replace(LINE, shape=(5,)),), r"expected output line: float32\[5\], found float32\[4\]"),
        ((replace(LINE, dtype=LONG),), r"expected output line: int64\[4\], found float32\[4\]"),
    ],
)
def test_outputs_that_are_not_as_declared(
    tmp_path: Path, outputs: tuple[TensorSpec, ...], told: str
) -> None:
    made = scripted(tmp_path / "f.pt", lambda x: x + 1, ("line",))
    with pytest.raises(ProgramError, match=told):
        prepare(replace(made, outputs=outputs))


def test_tensors_must_be_declared(network: Network) -> None:
    with pytest.raises(ProgramError, match="torch needs the inputs and outputs declared"):
        prepare(replace(network, outputs=()))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_casting_lowers_the_weights(network: Network, precision: str) -> None:
    with prepare(network) as full, prepare(network, precision) as low:
        kinds = {buffer.dtype for buffer in low._module.buffers()}
        assert kinds == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
        exact = run(full, image=picture())["features"]
        found = run(low, image=picture())["features"]
    assert found.dtype == np.float32
    assert 0 < np.abs(found - exact).max() < 0.1


def test_constants_in_the_code_cannot_be_cast(tmp_path: Path) -> None:
    made = scripted(tmp_path / "f.pt", lambda x: x + torch.tensor([0.1, 0.2, 0.3, 0.4]), ("sum",))
    with pytest.raises(ProgramError, match=r"bf16 is asked for.* has 1 constants in its code"):
        prepare(made, "bf16")


def test_each_worker_has_its_own_number_of_threads(network: Network) -> None:
    """torch takes a thread's count from whoever set it last, until the thread sets its own."""
    met = threading.Barrier(2, timeout=60)
    counts: dict[int, list[int]] = {1: [], 2: []}

    def work(threads: int) -> None:
        with prepare(network, threads=threads) as engine:
            for _ in range(5):
                run(engine, image=picture())
                met.wait()
                counts[threads].append(torch.get_num_threads())
                met.wait()

    workers = [threading.Thread(target=work, args=(threads,)) for threads in counts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert counts == {1: [1] * 5, 2: [2] * 5}


def test_same_file_and_precision_share_one_module(network: Network) -> None:
    with prepare(network) as one, prepare(network) as two, prepare(network, "bf16") as low:
        assert one._module is two._module
        assert low._module is not one._module


@pytest.fixture
def exported(tmp_path: Path) -> Network:
    class Twice(torch.nn.Module):
        def forward(self, line: object) -> object:
            return {"twice": line * 2}

    path = tmp_path / "twice.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(Twice(), (torch.zeros(4),)), str(path))
    return Network(path, "torch-export", (LINE,), (replace(LINE, name="twice"),))


def test_an_exported_program_where_it_is_trusted(exported: Network) -> None:
    with prepare(exported, trusted=True) as engine:
        found = run(engine, line=np.arange(4, dtype=np.float32))["twice"]
    np.testing.assert_array_equal(found, [0, 2, 4, 6])


def test_an_exported_program_is_not_trusted_by_default(exported: Network) -> None:
    with pytest.raises(ProgramError, match=r"can run any code as it is read.*trusted: true"):
        prepare(exported)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "trap.pt"
    torch.save(Trap(), path)
    with pytest.raises(ProgramError, match=r"trap\.pt .*torch cannot load it as torchscript"):
        prepare(Network(path, "torchscript", (LINE,), (LINE,)))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(EngineUnavailable, match=r"'g0'.*(without CUDA|finds no GPU)"):
        engines.create("g0", "torch", "cuda:0").init()


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:x", "mps"])
def test_a_device_it_does_not_offer(device: str) -> None:
    with pytest.raises(OptionError, match="no such device; there are cpu, cuda:0"):
        engines.create("t0", "torch", device).init()


@pytest.mark.parametrize("option", [{"threads": -1}, {"threads": "2"}, {"trusted": 1}])
def test_options_are_checked(option: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(option))}: expected"):
        engines.create("t0", "torch", **option)


def test_nothing_is_compiled_between_frames(network: Network) -> None:
    """The optimiser puts `prim::profile` into the first run, to build another after it."""
    with prepare(network):
        assert "prim::profile" not in str(torch.jit.last_executed_optimized_graph())


def with_gpu(test: object) -> object:
    skip = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
    return pytest.mark.gpu(skip(test))


@with_gpu
@pytest.mark.parametrize("precision", ["", "fp16", "bf16"])
def test_a_gpu_gives_the_same_bytes_each_time(tmp_path: Path, precision: str) -> None:
    """Operators that the optimiser would fuse after the first runs, and so round otherwise."""
    made = scripted(tmp_path / "f.pt", lambda x: (x * torch.sigmoid(x) + x).exp(), ("line",))
    line = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    with prepare(made, precision, device="cuda:0") as engine:
        found = {run(engine, line=line)["line"].tobytes() for _ in range(8)}
    assert len(found) == 1


@with_gpu
def test_a_gpu_gets_its_memory_back(network: Network) -> None:
    def cycle() -> int:
        with prepare(network, device="cuda:0") as engine:
            run(engine, image=picture())
        gc.collect()
        return torch.cuda.memory_reserved()

    first = cycle()  # the libraries of CUDA keep their workspace
    assert {cycle() for _ in range(20)} == {first}


@with_gpu
def test_the_cpu_takes_over_where_the_gpus_process_is_killed(network: Network) -> None:
    gpu = partial(engines.create, "g0", "torch", "cuda:0", isolate=True)
    cpu = partial(engines.create, "c0", "torch")
    candidates = [
        Candidate(name, make, network, Breaker(retry_s=60))
        for name, make in (("g0", gpu), ("c0", cpu))
    ]
    failover = Failover(candidates, time.monotonic)
    failover.open()
    try:
        on_gpu = failover.run({"image": picture()})["features"]
        assert failover.engine_id == "g0"
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        on_cpu = failover.run({"image": picture()})["features"]
        assert failover.engine_id == "c0"
    finally:
        failover.close()
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4)


@pytest.mark.assets
@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")
def test_d2go_of_its_authors(assets: Path) -> None:
    """Takes a list, needs torchvision's operators, is quantised, gives a dictionary in a tuple."""
    made = Network(
        assets / "models/d2go/d2go.pt",
        "torchscript",
        (TensorSpec("image", (3, -1, -1), FLOAT, "chw"),),
        (
            TensorSpec("boxes", (-1, 4), FLOAT),
            TensorSpec("labels", (-1,), LONG),
            TensorSpec("scores", (-1,), FLOAT),
        ),
        precision="int8",
    )
    av = pytest.importorskip("av")
    with av.open(str(assets / "videos/TUD-Stadtmitte.mp4")) as clip:
        frame = next(clip.decode(video=0)).to_ndarray(format="bgr24")
    image = frame.transpose(2, 0, 1).astype(np.float32) / 255
    with prepare(made) as engine:
        found = run(engine, image=image)
    sure = found["scores"] > 0.9
    people = found["boxes"][sure & (found["labels"] == 1)]
    assert len(people) == sure.sum() >= 6
    height, width = frame.shape[:2]
    assert (people >= 0).all()
    assert (people <= [width, height, width, height]).all()
    assert (people[:, 3] - people[:, 1] > 100).all(), "people close by"
