"""From the text in a configuration to a source; one function a scheme."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

from pipeline.clock import SystemClock
from pipeline.errors import SourceError
from pipeline.media.avsource import AvSource
from pipeline.media.connection import Connect
from pipeline.media.container import Address
from pipeline.media.decoders import SOFTWARE
from pipeline.media.device import device
from pipeline.media.images import IMAGE_SUFFIXES, ImageSource, images_in, natural_key
from pipeline.media.isolated import IsolatedCamera, IsolatedSource
from pipeline.media.live import LiveSource
from pipeline.media.place import Place
from pipeline.media.playlist import Playlist
from pipeline.media.rtsp.address import RtspAddress
from pipeline.media.rtsp.client import RtspOptions, rtsp
from pipeline.media.source import Source
from pipeline.media.uri import path_of, redact, scheme_of

#: What may be decoded from a network: common, maintained decoders, no exotic ones.
NETWORK_CODECS = frozenset({"h264", "hevc", "mjpeg", "mpeg4", "vp8", "vp9", "av1", "libdav1d"})


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a camera's configuration says about its source.

    Attributes:
        threads: of the decoder; 0: all cores.
        decoders: of videos, in the order of preference; see `AvSource`.
        start_s: first moment wanted, but of cameras.
        end_s: first moment not wanted any more, but of cameras; None: to the end.
        key_frames: of videos, decode key frames only; see `AvSource`.
        begin: of a video, a key frame to begin at; see `AvSource`.
        loop: begin again after the end, for files and folders.
        image_fps: images per second, for folders and lists of images.
        transport: of RTSP; UDP loses packets where TCP waits.
        open_timeout_s: how long a network source may take to answer.
        read_timeout_s: how long it may be silent.
        stall_s: a camera that is silent for so long is stalled.
        freeze_s: a camera that sends the same picture for so long is frozen; 0: never.
        retry_s: a lost camera is tried again after so long at most.
        isolate: read and decode in a process of its own.
    """

    threads: int = 1
    decoders: tuple[str, ...] = (SOFTWARE,)
    start_s: float = 0.0
    end_s: float | None = None
    key_frames: bool = False
    begin: Place | None = None
    loop: bool = False
    image_fps: float = 25.0
    transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    stall_s: float = 2.0
    freeze_s: float = 10.0
    retry_s: float = 2.0
    isolate: bool = False


def open_source(uri: str, options: SourceOptions | None = None) -> Source:
    """Makes the source that `uri` names; nothing is opened before its `open`.

    ========================================  ====================================================
    ``video.mp4``, ``file:video.mp4``         a video file of any container
    ``folder``, ``dir:folder``                a folder of images, in natural order
    ``glob:videos/*.mp4``                     files, played one after another
    ``webcam:0``, ``/dev/video0``             a camera at this machine
    ``rtsp://…``, ``rtsps://…``               a network camera
    ``http://…``, ``https://…``               a file on a server
    ``rendered:day?seed=3&seconds=10``        the rendered street (also size=640x360, fps=25)
    ========================================  ====================================================

    Raises:
        SourceError: the scheme is unknown, or the URI says at once that nothing can be there.
    """
    options = options or SourceOptions()
    scheme = scheme_of(uri)
    if scheme not in SCHEMES:
        raise SourceError(
            f"{redact(uri)}: unknown kind of source {scheme!r}; "
            f"there are {', '.join(sorted(filter(None, SCHEMES)))} and plain paths"
        )
    if options.isolate and not is_live(uri):
        return _isolated(uri, options)
    return SCHEMES[scheme](uri, options)


def _isolated(uri: str, options: SourceOptions) -> Source:
    """A recording in a process of its own; one that is looped in a new one each time."""
    inside = partial(open_source, uri, replace(options, isolate=False, loop=False))
    # FFmpeg's timeouts fire at twice their value.
    silence_s = 2 * options.read_timeout_s + 1
    return _looped(partial(IsolatedSource, redact(uri), inside, silence_s), options)


def is_live(uri: str) -> bool:
    """Whether `uri` names a camera, which cannot be asked to wait, rather than a recording."""
    scheme = scheme_of(uri)
    return scheme in ("rtsp", "rtsps", "webcam") or (
        scheme in ("", "file") and Path(path_of(uri)).is_char_device()
    )


def files_of(uri: str) -> list[Path]:
    """The files that a recording is read from, in order; none where it is no file here.

    Raises:
        SourceError: there is none where there should be.
        OSError: a folder cannot be read.
    """
    scheme = scheme_of(uri)
    if scheme == "glob":
        return _matching(uri)
    if scheme not in ("", "file", "dir"):
        return []
    path = Path(uri.partition(":")[2] if scheme == "dir" else path_of(uri)).expanduser()
    return images_in(path) if path.is_dir() else [path]


def _path(uri: str, options: SourceOptions) -> Source:
    path = Path(path_of(uri)).expanduser()
    if path.is_char_device():
        return _device(path, options)
    if path.is_dir():
        return _images(images_in(path), options, str(path))
    return _looped(partial(_video, path, options), options)


def _video(path: Path, options: SourceOptions) -> AvSource:
    if not path.exists():
        raise SourceError(f"{path}: there is no such file; relative paths start at {Path.cwd()}")
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty; copy or record it again")
    # The prefix keeps FFmpeg from reading a protocol into a name such as "cam:1.mp4".
    return _container(Address(f"file:{path}"), options)


def _container(address: Address, options: SourceOptions) -> AvSource:
    return AvSource(
        address,
        threads=options.threads,
        start_s=options.start_s,
        end_s=options.end_s,
        decoders=options.decoders,
        key_frames=options.key_frames,
        begin=options.begin,
    )


def _directory(uri: str, options: SourceOptions) -> Source:
    path = Path(uri.partition(":")[2]).expanduser()
    if not path.is_dir():
        raise SourceError(f"{path}: there is no such folder")
    return _images(images_in(path), options, str(path))


def _matching(uri: str) -> list[Path]:
    pattern = Path(uri.partition(":")[2]).expanduser()
    found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    paths = sorted((path for path in found if path.is_file()), key=natural_key)
    if not paths:
        raise SourceError(f"{uri}: no file matches; relative patterns start at {Path.cwd()}")
    return paths


def _glob(uri: str, options: SourceOptions) -> Source:
    paths = _matching(uri)
    if all(path.suffix.lower() in IMAGE_SUFFIXES for path in paths):
        return _images(paths, options, uri)
    return Playlist([partial(_video, path, options) for path in paths], loop=options.loop)


def _images(paths: list[Path], options: SourceOptions, name: str) -> Source:
    _require_software(options, name)
    make = partial(ImageSource, paths, options.image_fps, name, options.start_s, options.end_s)
    return _looped(make, options)


def _looped(make: Callable[[], Source], options: SourceOptions) -> Source:
    return Playlist([make], loop=True) if options.loop else make()


def _webcam(uri: str, options: SourceOptions) -> Source:
    name = uri.partition(":")[2] or "0"
    return _device(Path(f"/dev/video{name}" if name.isdecimal() else name), options)


def _device(path: Path, options: SourceOptions) -> Source:
    remedy = "check that it is plugged in, that no other program uses it and that you may read it"
    address = Address(str(path), format="v4l2", live=True, remedy=remedy)
    return _live(address.name, partial(device, address, options.decoders, SystemClock()), options)


def _rtsp(uri: str, options: SourceOptions) -> Source:
    address = RtspAddress.parse(uri)
    how = RtspOptions(
        options.transport,
        options.decoders,
        options.threads,
        options.open_timeout_s,
        options.read_timeout_s,
    )
    return _live(address.name, partial(rtsp, address, how, SystemClock()), options)


def _live(name: str, connection: Callable[[], Connect], options: SourceOptions) -> Source:
    session = {key: getattr(options, key) for key in ("stall_s", "freeze_s", "retry_s")}
    if options.isolate:
        return IsolatedCamera(name, connection, **session)
    return LiveSource(name, connection(), **session)


def _http(uri: str, options: SourceOptions) -> Source:
    address = Address(
        uri,
        options={
            "protocol_whitelist": "http,https,tcp,tls,crypto",
            "codec_whitelist": ",".join(sorted(NETWORK_CODECS)),
        },
        open_timeout_s=options.open_timeout_s,
        read_timeout_s=options.read_timeout_s,
        codecs=NETWORK_CODECS,
        remedy="check the address",
    )
    return _container(address, options)


def _rendered(uri: str, options: SourceOptions) -> Source:
    # The world's tables and sprites are loaded only by who asks for them.
    from pipeline.media.rendered import RenderedSource

    _require_software(options, uri)
    scene, _, query = uri.partition(":")[2].partition("?")
    values = {"seed": "1", "size": "640x360", "fps": "25", "seconds": ""}
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := given.keys() - values.keys():
        raise SourceError(
            f"{uri}: unknown {', '.join(sorted(unknown))}; there are {', '.join(values)}"
        )
    values |= given
    try:
        width, _, height = values["size"].partition("x")
        seconds = float(values["seconds"]) if values["seconds"] else None
        make = partial(
            RenderedSource,
            scene or "day",
            int(values["seed"]),
            int(width),
            int(height),
            float(values["fps"]),
            seconds,
            options.start_s,
            options.end_s,
        )
        return _looped(make, options)
    except ValueError as error:
        raise SourceError(
            f"{uri}: {error}; expected such as rendered:day?seed=3&seconds=10&size=640x360&fps=25"
        ) from error


def _require_software(options: SourceOptions, name: str) -> None:
    """Raises `SourceError` where pictures that are no video should be decoded by hardware only."""
    if SOFTWARE not in options.decoders:
        raise SourceError(
            f"{name}: decoder {options.decoders[-1]} is for videos, this is none; leave it out"
        )


#: What makes the source of each kind of URI; the empty scheme is a plain path.
SCHEMES: dict[str, Callable[[str, SourceOptions], Source]] = {
    "": _path,
    "file": _path,
    "dir": _directory,
    "glob": _glob,
    "webcam": _webcam,
    "rtsp": _rtsp,
    "rtsps": _rtsp,
    "http": _http,
    "https": _http,
    "rendered": _rendered,
}
