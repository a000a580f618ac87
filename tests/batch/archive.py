"""An archive for tests of whole batches: short films of a bright square, and what finds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import yaml

_WIDTH, _HEIGHT, _FPS, _GROUP = 128, 96, 25, 10
REPOSITORY = Path(__file__).resolve().parents[2]


def film(path: Path, frames: int = 50, start: int = 0) -> Path:
    """Encodes a square that goes round, key frames 0.4 s apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        stream.codec_context.gop_size = _GROUP
        for index in range(start, start + frames):
            image = np.full((_HEIGHT, _WIDTH, 3), 40, np.uint8)
            left, top = (index * 3) % (_WIDTH - 24), (index * 2) % (_HEIGHT - 24)
            image[top : top + 20, left : left + 20] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def configure(path: Path, detector: Path, **sections: object) -> Path:
    """Writes a configuration without cameras that cuts films into pieces of a key frame each."""
    stages = {"detect": {"model": str(detector)}, "postprocess": {"score": 0.3}}
    batch = {"segment_s": 0.3, "thumbnails": 2}
    path.write_text(yaml.safe_dump({"stages": stages, "batch": batch} | sections))
    return path


def command(*arguments: object) -> list[str]:
    """``sightline batch ARGUMENTS`` as a process of its own."""
    return [sys.executable, "-P", "-m", "pipeline.cli.main", "batch", *map(str, arguments)]


def start(*arguments: object) -> subprocess.Popen[str]:
    """Starts it; what it says can be read from its pipes."""
    return subprocess.Popen(
        command(*arguments),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(out: Path) -> dict[str, bytes]:
    """Everything in the folders of the clips, by its path."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for folder in sorted(out.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
