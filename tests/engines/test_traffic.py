"""What goes over an engine's border is counted once, where it happens."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

import engines
from engines import Engine, Kernel, Network
from engines.errors import ForwardError
from engines.traffic import Traffic, Work, total_by_engine
from tests.engines.subjects import IMAGE, picture

IN, OUT = picture().nbytes, 4 * 8 * 10 * 4  # bytes of the image, and of one of the two outputs


def used(backend: str, network: Network, array: np.ndarray, **options: object) -> Engine:
    """Runs once on the array, and takes one of two outputs."""
    with engines.create("e", backend, **options) as engine:
        engine.init()
        engine.prepare(network)
        engine.set_tensor("image", array)
        engine.forward()
        engine.get_tensor("features")
    return engine


def test_what_needs_no_copy_is_not_copied(network: Network) -> None:
    engine = used("onnxruntime", network, picture())
    traffic = engine.traffic
    assert (traffic.forwards, traffic.bytes_in, traffic.bytes_out) == (1, IN, OUT)
    assert traffic.run_ns > 0
    assert (traffic.copy_ns, traffic.convert_ns) == (0, 0)
    assert json.loads(json.dumps(engine.report()))["traffic"]["copied_in"] == {"bytes": 0, "ns": 0}


@pytest.mark.parametrize(
    ("make", "copied"),
    [
        (lambda image: image[:, :, ::-1], IN),
        (lambda image: np.asfortranarray(image), IN),
        (lambda image: np.broadcast_to(image[:, :1], image.shape), IN),
        (lambda image: np.repeat(image, 2, axis=0)[1:], 0),
    ],
    ids=["reversed", "fortran", "broadcast", "contiguous part"],
)
def test_what_is_not_contiguous_is_copied_once(
    make: Callable[[np.ndarray], np.ndarray], copied: int, network: Network
) -> None:
    traffic = used("onnxruntime", network, make(picture())).traffic
    assert (traffic.copied_in.bytes, traffic.copied_in.ns > 0) == (copied, copied > 0)
    assert traffic.copied_out == Work()


def test_a_kernel_on_the_host_counts_too() -> None:
    twice = Kernel("twice", inputs=(IMAGE,), outputs=(), function=lambda x: {"y": x["image"] * 2})
    with engines.create("e", "host") as engine:
        engine.init()
        engine.prepare(twice)
        engine.set_tensor("image", picture()[:, :, ::-1])
        engine.forward()
        engine.get_tensor("y")
        traffic = engine.traffic
    assert (traffic.forwards, traffic.bytes_in, traffic.bytes_out) == (1, IN, IN)
    assert (traffic.copied_in.bytes, traffic.copied_out.bytes) == (IN, 0)


def test_an_engine_apart_copies_in_once_and_both_outputs_twice(network: Network) -> None:
    traffic = used("onnxruntime", network, picture(), isolate=True).traffic
    assert (traffic.forwards, traffic.bytes_in, traffic.bytes_out) == (1, IN, OUT)
    assert (traffic.copied_in.bytes, traffic.copied_out.bytes) == (IN, 2 * 2 * OUT)
    assert min(traffic.copied_in.ns, traffic.copied_out.ns, traffic.run_ns) > 0


@pytest.mark.parametrize("array", [picture(), picture()[:, :, ::-1]], ids=["", "strided"])
def test_what_is_copied_in_the_other_process_is_told(array: np.ndarray, network: Network) -> None:
    """OpenVINO gives memory of its own, and takes none that may not be written to."""
    pytest.importorskip("openvino")
    image = np.ascontiguousarray(array)
    image.setflags(write=False)
    here = used("openvino", network, image, streams=1).traffic
    assert (here.copied_in.bytes, here.copied_out.bytes) == (IN, 2 * OUT)
    apart = used("openvino", network, array, streams=1, isolate=True).traffic
    strided = 0 if array.flags.c_contiguous else IN
    assert (apart.copied_in.bytes, apart.copied_out.bytes) == (IN + strided, 3 * 2 * OUT)


def test_a_forward_that_fails_is_no_run(network: Network) -> None:
    def fails(_: object) -> dict[str, np.ndarray]:
        raise ValueError("no")

    with engines.create("e", "host") as engine:
        engine.init()
        with pytest.raises(engines.ProgramError):  # it is tried before it is used
            engine.prepare(Kernel("k", inputs=(IMAGE,), outputs=(), function=fails))
    calls = iter([{"y": picture()}])
    with engines.create("e", "host") as engine:
        engine.init()
        engine.prepare(Kernel("k", inputs=(IMAGE,), outputs=(), function=lambda _: next(calls)))
        assert engine.traffic == Traffic()  # nor was the run that proved it
        engine.set_tensor("image", picture())
        with pytest.raises(ForwardError):
            engine.forward()
        assert (engine.traffic.forwards, engine.traffic.run_ns) == (0, 0)
        assert engine.traffic.bytes_in == IN


def test_totals_are_copies() -> None:
    one = Traffic(1, 10, 100, 1000, Work(1, 2), Work(3, 4), Work(5, 6), Work(7, 8))
    other = Traffic(bytes_in=1, quantised=Work(10, 10))
    total = total_by_engine([{"a": one, "b": other}, {"a": other}])
    assert total == {
        "a": Traffic(1, 10, 101, 1000, Work(11, 12), Work(3, 4), Work(5, 6), Work(7, 8)),
        "b": other,
    }
    assert (one.copy_ns, one.convert_ns) == (14, 6)
    total["b"].quantised.merge(one.quantised)
    assert other.quantised == Work(10, 10)
