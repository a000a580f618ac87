"""The gate between a source and the graph."""

from __future__ import annotations

import threading

from pipeline.gate import Gate


def test_who_holds_the_gate_comes_before_who_goes_through_again_and_again() -> None:
    gate, stop, inside = Gate(), threading.Event(), threading.Event()

    def go_through() -> None:
        while not stop.is_set():
            with gate:
                inside.set()

    thread = threading.Thread(target=go_through)
    thread.start()
    try:
        for _ in range(100):
            assert inside.wait(10)
            assert gate.hold(10.0)
            inside.clear()
            assert not inside.wait(0.0001), "nobody goes through a gate that is held"
            gate.release()
    finally:
        stop.set()
        thread.join()


def test_a_gate_in_which_somebody_stands_cannot_be_held() -> None:
    gate = Gate()
    with gate:
        assert not gate.hold(0.01)
    assert gate.hold(0.01)
    gate.release()
