"""What PyAV reads as a camera, with a file in place of a device."""

import threading
from collections import Counter

import numpy as np
import pytest

from pipeline.clock import SystemClock
from pipeline.errors import SourceError
from pipeline.media.container import Address
from pipeline.media.device import device
from pipeline.media.source import SourceState
from pipeline.media.sources import SourceOptions, open_source


def test_pictures_and_the_end(make_clip) -> None:
    path = make_clip("clip.mkv", pts=[0, 40, 100])
    address = Address(f"file:{path}", live=True, remedy="plug it in")
    faults: Counter[str] = Counter()
    shots = device(address, ("software",), SystemClock())(faults)
    assert next(shots) is None
    found = [next(shots) for _ in range(2)]
    assert [shot.picture.width for shot in found if shot] == [160, 160]
    assert np.diff([shot.stamp_ns for shot in found if shot]) == [40_000_000]
    assert found[0] is not None
    assert (found[0].coding.codec, found[0].coding.fps) == ("h264", 25.0)
    with pytest.raises(SourceError, match=r"clip\.mkv: it gave no more pictures; plug it in"):
        list(shots)
    assert not faults


def test_a_decoder_that_is_not_there_is_passed_over(make_clip) -> None:
    address = Address(f"file:{make_clip('clip.mkv')}", live=True)
    faults: Counter[str] = Counter()
    shots = device(address, ("vdpau", "software"), SystemClock())(faults)
    found = next(shot for shot in shots if shot)
    assert found.coding.decoder.endswith("software")
    assert faults == {"decoder_fallback": 1}
    with pytest.raises(SourceError, match="no decoder: vdpau: "):
        list(device(address, ("vdpau",), SystemClock())(faults))


def test_a_camera_that_is_not_plugged_in_is_waited_for() -> None:
    source = open_source("webcam:97", SourceOptions(retry_s=0.1))
    assert source.open().live
    threading.Timer(0.5, source.interrupt).start()
    assert list(source.frames()) == []
    assert source.condition.state is SourceState.RETRYING
    assert "/dev/video97: cannot be opened: no such file" in source.condition.last_error
    source.close()
