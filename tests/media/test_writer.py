import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.media.sources import open_source
from pipeline.media.writer import VideoWriter


def ramp(width: int, height: int, level: int):
    image = np.full((height, width, 3), level, np.uint8)
    image[: height // 2] = (200, 40, 60)
    return image


@pytest.mark.parametrize("size", [(64, 48), (65, 47)], ids=["even", "odd"])
def test_what_was_written_is_read_back(tmp_path: Path, size) -> None:
    path = tmp_path / "new" / "out.mp4"
    times_ns = [0, 40_000_000, 50_000_000, 1_000_000_000, 1_033_333_333]
    with VideoWriter(path, *size, 25, crf=10) as writer:
        for level, pts_ns in enumerate(times_ns):
            writer.write(ramp(*size, 60 + 30 * level), pts_ns)
    source = open_source(str(path))
    source.open()
    frames = list(source.frames())
    source.close()
    # 1/90000 s is the clock of the container.
    assert [f.pts_ns for f in frames] == pytest.approx(times_ns, abs=6000)
    for level, frame in enumerate(frames):
        got = frame.picture.bgr()[: size[1], : size[0]].astype(int)
        assert np.abs(got - ramp(*size, 60 + 30 * level)).mean() < 4
    assert not source.faults


def test_a_killed_writer_leaves_a_playable_file(tmp_path: Path) -> None:
    path, copy = tmp_path / "out.mp4", tmp_path / "copy.mp4"
    writer = VideoWriter(path, 320, 240, 25)
    for index in range(600):
        writer.write(ramp(320, 240, index % 256), index * 40_000_000)
    shutil.copy(path, copy)
    writer.close()
    source = open_source(str(copy))
    source.open()
    assert sum(1 for _ in source.frames()) >= 250
    source.close()


def test_mistakes_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=str(tmp_path)):
        VideoWriter(tmp_path, 64, 48, 25)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "out.mp4", 64, 48, 25)
    writer = VideoWriter(tmp_path / "out.mp4", 64, 48, 25)
    with pytest.raises(OutputError, match=r"expected a 64x48 BGR picture .* \(10, 10, 3\)"):
        writer.write(np.zeros((10, 10, 3), np.uint8), 0)
    writer.write(ramp(64, 48, 9), 0)
    writer.close()
    writer.close()
    with pytest.raises(OutputError, match="after closing"):
        writer.write(ramp(64, 48, 9), 1)


def test_the_first_picture_is_shown_at_its_own_time(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 64, 48, 25.0) as writer:
        for index in range(5):
            writer.write(np.full((48, 64, 3), index * 40, np.uint8), index * 40_000_000)
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])
