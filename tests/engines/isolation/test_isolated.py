from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import Engine, EngineLost, EngineUnavailable, ForwardError, Kernel, Network
from engines.errors import EngineError, ProgramError
from engines.isolation import isolated as isolated_module
from engines.isolation.isolated import isolated
from engines.onnxruntime import OnnxRuntimeEngine, OnnxRuntimeOptions
from tests.engines.faulty import FaultyEngine, FaultyOptions, order
from tests.engines.processes import alive, children, descriptors
from tests.engines.subjects import expected_features, picture


def faulty(orders: Path, timeout_s: float | None = 30) -> Engine:
    return isolated(FaultyEngine)("f", "cpu", FaultyOptions(orders=str(orders)), "", timeout_s)


def run(engine: Engine) -> np.ndarray:
    engine.set_tensor("image", picture())
    engine.forward()
    return engine.get_tensor("features")


def works(engine: Engine) -> bool:
    return np.allclose(run(engine), expected_features(picture()), atol=1e-4)


def loaded(engine: Engine, network: Network) -> Engine:
    engine.init()
    engine.prepare(network)
    return engine


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    return tmp_path / "orders"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No process, no descriptor and with them no shared memory outlives a test."""
    before = descriptors()
    yield
    assert children() == []
    assert descriptors() <= before


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("exit", r"its process ended with 3 \('the driver is gone'\) during forward\(\)"),
        ("segfault", r"its process was killed by SIGSEGV.* during forward\(\)"),
        ("hang", r"no answer to forward\(\) within 0.3 s; its process is killed"),
        ("stop", r"no answer to forward\(\) within 0.3 s; its process is killed"),
        ("babble", r"no answer to forward\(\) within 0.3 s; its process is killed"),
    ],
)
def test_what_dies_or_hangs_is_told_and_is_gone(
    fault: str, told: str, network: Network, orders: Path
) -> None:
    limit_s = 30 if fault in ("exit", "segfault") else 0.3
    with loaded(faulty(orders, limit_s), network) as engine:
        pid = engine.report()["process"]
        order(orders, "forward", fault)
        with pytest.raises(EngineLost, match=rf"engine 'f' \(faulty on cpu\): {told}"):
            run(engine)
        with pytest.raises(EngineLost):
            run(engine)
    assert not alive(pid)


def test_what_merely_fails_goes_on(network: Network, orders: Path) -> None:
    with loaded(faulty(orders), network) as engine:
        order(orders, "forward", "raise")
        with pytest.raises(
            ForwardError, match=r"'f'.*: forward\(\) failed: the device was removed"
        ):
            run(engine)
        assert works(engine)


def test_what_prints_a_lot_is_not_held_up(network: Network, orders: Path) -> None:
    with loaded(faulty(orders), network) as engine:
        order(orders, "forward", "chatter")
        assert works(engine)


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        ("refuse", EngineUnavailable, r"engine 'f' \(faulty on cpu\): no such device any more"),
        ("raise", ProgramError, r"prepare\(\) failed: RuntimeError: the device was removed"),
        ("exit", EngineLost, "its process ended with 3"),
        ("hang", EngineLost, r"no answer to prepare\(\) within 0.1 s"),
    ],
)
def test_faults_at_loading(
    fault: str,
    kind: type[EngineError],
    told: str,
    network: Network,
    orders: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order(orders, "prepare", fault, after=-1)
    with faulty(orders) as engine:
        engine.init()
        if fault == "hang":
            monkeypatch.setattr(isolated_module, "LOAD_S", 0.1)
        with pytest.raises(kind, match=told):
            engine.prepare(network)


def test_loading_goes_on_beside_the_caller(network: Network, orders: Path) -> None:
    order(orders, "prepare", "stop", after=-1)
    with faulty(orders) as engine:
        engine.start_loading(network)
        while (orders / "prepare").exists():
            assert not engine.loaded
        assert not engine.loaded
        while not engine.loaded:
            os.kill(engine.report()["process"], signal.SIGCONT)
        engine.init()
        engine.prepare(network)
        assert works(engine)


def test_what_prints_for_ever_while_it_loads_holds_nobody_up(
    network: Network, orders: Path
) -> None:
    order(orders, "prepare", "babble", after=-1)
    with faulty(orders) as engine:
        engine.start_loading(network)
        while (orders / "prepare").exists():
            assert not engine.loaded
        for _ in range(1000):
            assert not engine.loaded


def test_an_engine_that_is_still_loading_can_be_given_back(network: Network, orders: Path) -> None:
    order(orders, "prepare", "hang", after=-1)
    engine = faulty(orders)
    engine.start_loading(network)
    engine.destroy()
    assert not engine.inputs


def test_a_process_that_died_while_it_stood_by_is_noticed(network: Network, orders: Path) -> None:
    with loaded(faulty(orders), network) as engine:
        engine.require_alive()
        os.kill(engine.report()["process"], signal.SIGKILL)
        with pytest.raises(EngineLost, match="its process was killed by SIGKILL while it stood"):
            _until_lost(engine)


def _until_lost(engine: Engine) -> None:
    while True:
        engine.require_alive()


def test_restarting_again_and_again_leaves_nothing(network: Network, orders: Path) -> None:
    before = descriptors()
    for _ in range(50):
        with faulty(orders) as engine:
            engine.start_loading(network)
            os.kill(engine.report()["process"], signal.SIGKILL)
            with pytest.raises(EngineLost, match=r"killed by SIGKILL during init\(\)"):
                engine.init()
    assert descriptors() <= before
    assert children() == []


def test_interrupting_the_parent_does_not_reach_the_child(network: Network, orders: Path) -> None:
    with loaded(faulty(orders), network) as engine:
        assert os.getpgid(engine.report()["process"]) != os.getpgid(0)


PARENT = """
import os, signal, sys
from pathlib import Path
from engines import Network
from tests.engines.faulty import order
from tests.engines.isolation.test_isolated import faulty, loaded, run
folder = Path(sys.argv[1])
engine = loaded(faulty(folder), Network(Path(sys.argv[2]), "onnx"))
order(folder, "forward", "hang")
print(engine.report()["process"], flush=True)
run(engine)
"""


def test_a_hung_child_dies_with_its_parent(network: Network, orders: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(orders), str(network.path)]
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        while (orders / "forward").exists():  # until it hangs
            time.sleep(0.01)
        parent.kill()
    while alive(pid):
        time.sleep(0.01)


def test_where_no_process_can_be_started(orders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(orders / "python"))
    with faulty(orders) as engine, pytest.raises(EngineUnavailable, match="No such file"):
        engine.init()


def test_what_cannot_go_to_another_process_is_refused(network: Network) -> None:
    class Local(OnnxRuntimeEngine):
        pass

    local = isolated(Local)("e", "cpu", OnnxRuntimeOptions())
    with local, pytest.raises(EngineUnavailable, match=r"made in another process: .*Local"):
        local.init()
    kernel = Kernel("twice", {}, network.inputs, network.inputs, lambda tensors: tensors)
    with engines.create("e", "host", isolate=True) as engine:
        engine.init()
        with pytest.raises(ProgramError, match="kernel twice cannot go to its process"):
            engine.prepare(kernel)


def test_it_looks_like_its_backend() -> None:
    engine = engines.create("e", "onnxruntime", timeout_s=1)
    inner = engines.engine_class("onnxruntime")
    assert (engine.backend, engine.formats) == (inner.backend, inner.formats)
    assert engine.describe() == inner.describe()
    assert type(engine) is type(engines.create("e", "onnxruntime", isolate=True))
