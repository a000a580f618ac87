"""Hardware decoders, on machines that have none: what is told, and what goes on without."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from av.codec.hwaccel import hwdevices_available

import pipeline
from pipeline.errors import ConfigError, PipelineError, SourceError
from pipeline.media.container import Address, open_container
from pipeline.media.decoders import HARDWARE, SOFTWARE, HardwareError, accelerator, require
from pipeline.media.sources import SourceOptions, open_source

ClipMaker = Callable[..., Path]
#: One that no FFmpeg for this machine is built with, whatever hardware it has.
FOREIGN = next(name for name in HARDWARE if name not in hwdevices_available())


def without_hardware(name: str) -> bool:
    try:
        require(name)
    except HardwareError:
        return True
    return False


def test_software_is_always_there() -> None:
    require(SOFTWARE)
    assert accelerator(SOFTWARE) is None


def test_what_ffmpeg_is_not_built_with_is_told() -> None:
    with pytest.raises(HardwareError, match=f"built without {FOREIGN}"):
        require(FOREIGN)


@pytest.mark.skipif(not without_hardware("cuda"), reason="there is a GPU")
def test_a_device_that_does_not_open_is_told() -> None:
    with pytest.raises(HardwareError, match=r"no such device opens|built without cuda"):
        require("cuda:7")


def test_the_next_decoder_is_taken_counted_and_logged_once(
    make_clip: ClipMaker, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(make_clip("clip.mp4"))
    plain = open_source(path)
    source = open_source(path, SourceOptions(decoders=(FOREIGN, SOFTWARE)))
    with caplog.at_level(logging.WARNING):
        info = source.open()
    wanted = plain.open()
    frames, expected = list(source.frames()), list(plain.frames())
    assert dict(source.faults) == {"decoder_fallback": 1}
    assert wanted.decoder == "pyav h264, 1 thread"
    assert info.decoder.startswith(f"{wanted.decoder}, not on {FOREIGN}: this FFmpeg is built")
    assert len(frames) == len(expected) == 30
    for ours, theirs in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(ours.picture.bgr(), theirs.picture.bgr())
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [path]
    source.close()
    plain.close()


def test_hardware_alone_is_an_error_where_it_is_not_there(make_clip: ClipMaker) -> None:
    path = make_clip("clip.mp4")
    source = open_source(str(path), SourceOptions(decoders=(FOREIGN,)))
    with pytest.raises(SourceError) as caught:
        source.open()
    assert str(path) in str(caught.value)
    assert f"no decoder: {FOREIGN}: this FFmpeg is built without {FOREIGN}" in str(caught.value)
    assert "write software behind it" in str(caught.value)
    source.close()


def test_a_broken_file_is_told_by_the_last_decoder(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    source = open_source(str(path), SourceOptions(decoders=(FOREIGN, SOFTWARE)))
    with pytest.raises(SourceError, match="cannot be opened"):
        source.open()


@pytest.mark.parametrize("uri", ["rendered:day?seconds=1", "dir:{folder}"])
def test_what_is_no_video_has_no_hardware_decoder(uri: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((32, 48, 3), np.uint8))
    uri = uri.format(folder=tmp_path)
    with pytest.raises(SourceError, match="decoder cuda is for videos"):
        open_source(uri, SourceOptions(decoders=("cuda",)))
    source = open_source(uri, SourceOptions(decoders=("cuda", SOFTWARE)))
    assert "cuda" not in source.open().decoder
    source.close()


def test_a_video_that_the_hardware_does_not_decode_is_told(make_clip: ClipMaker) -> None:
    address = Address(f"file:{make_clip('clip.mp4')}")
    with pytest.raises(HardwareError, match="does not decode this kind of video"):
        open_container(address, 1, accelerator(FOREIGN))


def run(path: Path, decoder: str) -> pipeline.Graph:
    text = f"""
cameras: [{{id: a, uri: "{path}", decoder: {decoder}}}]
stages: {{detect: {{model: hog-people, engine: e}}}}
engines: {{e: {{backend: opencv}}}}
outputs: [{{file: {{path: "{path.parent}/tracks.jsonl"}}}}]
"""
    return pipeline.build(pipeline.loads(text))


def test_what_decoded_is_in_the_report(make_clip: ClipMaker) -> None:
    graph = run(make_clip("clip.mp4"), f"[{FOREIGN}, software]")
    assert f"decoder: {FOREIGN}, else software]" in graph.text()
    assert f"a<br/>{FOREIGN}, else software" in graph.mermaid()
    (camera,) = pipeline.run(graph).cameras
    assert f"not on {FOREIGN}" in camera.decoder
    assert camera.faults == {"decoder_fallback": 1}


def test_a_camera_without_its_only_decoder_fails_the_run(make_clip: ClipMaker) -> None:
    with pytest.raises(PipelineError) as caught:
        pipeline.run(run(make_clip("clip.mp4"), FOREIGN))
    assert f"no decoder: {FOREIGN}" in str(caught.value.exceptions[0])


@pytest.mark.parametrize(
    ("decoder", "told"),
    [
        ("cuad", "no decoder is called 'cuad'; did you mean 'cuda'?"),
        ("[cuda, cuda]", "a decoder is named twice"),
        ("[software, cuda]", "nothing comes behind software"),
        ("[]", "decoder"),
        ("7", "decoder"),
    ],
)
def test_a_wrong_decoder_is_told_with_its_place(decoder: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(Path("clip.mp4"), decoder)
    assert "cameras[0].decoder" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.gpu
@pytest.mark.skipif(without_hardware("cuda"), reason="no CUDA device")
def test_cuda_decodes_the_same_pictures(make_clip: ClipMaker) -> None:
    path = str(make_clip("clip.mp4", size=(320, 240)))
    frames = {}
    for decoder in ("cuda", SOFTWARE):
        source = open_source(path, SourceOptions(decoders=(decoder,)))
        info = source.open()
        assert ("on cuda" in info.decoder) == (decoder == "cuda")
        frames[decoder] = [frame.picture.bgr() for frame in source.frames()]
        source.close()
    np.testing.assert_array_equal(frames["cuda"], frames[SOFTWARE])
