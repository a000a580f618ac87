"""Pictures of a video for people: its tracks, and the scene without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.batch.report.sight import Box, Sight
from pipeline.media.picture import Picture
from pipeline.media.sources import SourceOptions, open_source
from pipeline.media.timeline import NS_PER_S

BACKGROUND = "background.jpg"
_SIDE = 160  # longest side of a thumbnail, pixels
_MARGIN = 0.08  # around a box, as a part of its sides
_WIDTH = 720  # of the background at most, pixels
_QUALITY = 82  # of a JPEG, 0 to 100
#: Nearer moments are decoded in one go: to skip costs about as much as to decode so much.
_NEAR_NS = 10 * NS_PER_S
#: Pictures that are this far from their median, on average, are not of one scene (0 to 255).
_ANOTHER_SCENE = 24.0


def take_pictures(
    uri: str, folder: Path, sights: Mapping[int, Sight], moments_ns: Sequence[int]
) -> set[int]:
    """Writes a thumbnail of each track, ``<id>.jpg``, and the background.

    Only what is needed is decoded.

    Args:
        uri: of the video.
        folder: that they are written into.
        sights: moment and place of each track, by its identity.
        moments_ns: from which the background is made.

    Returns:
        The tracks that were found; those whose moments are not in the video are left out.

    Raises:
        SourceError: the video cannot be read.
        OSError: a picture cannot be written.
    """
    folder.mkdir(exist_ok=True)
    found, scenes = set[int](), list[NDArray[np.uint8]]()
    for pts_ns, picture in _at(uri, [sight.pts_ns for sight in sights.values()], moments_ns):
        if pts_ns in moments_ns:
            scenes.append(_scene(picture, scenes[:1]))
        for track, sight in sights.items():
            if sight.pts_ns == pts_ns:
                (folder / f"{track}.jpg").write_bytes(jpeg(_cut(picture, sight.box_xyxy)))
                found.add(track)
    if scenes:
        (folder / BACKGROUND).write_bytes(jpeg(_background(np.stack(scenes))))
    return found


def jpeg(image_bgr: NDArray[np.uint8]) -> bytes:
    """A picture, (height, width, 3) uint8 BGR, as a file."""
    _, data = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def _at(uri: str, *moments_ns: Iterable[int]) -> Iterator[tuple[int, Picture]]:
    """The pictures of these moments that the video has, in order."""
    wanted = sorted({moment for moments in moments_ns for moment in moments})
    while wanted:
        length = next(
            (i for i in range(1, len(wanted)) if wanted[i] - wanted[i - 1] > _NEAR_NS), len(wanted)
        )
        near, wanted = set(wanted[:length]), wanted[length:]
        last_ns = max(near)
        with closing(open_source(uri, SourceOptions(start_s=min(near) / NS_PER_S))) as source:
            source.open()
            for frame in source.frames():
                if frame.pts_ns in near:
                    yield frame.pts_ns, frame.picture
                if frame.pts_ns >= last_ns:
                    break


def _scene(picture: Picture, like: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The whole picture, small; of the size of the one before, where there is one."""
    if like:
        height, width = like[0].shape[:2]
    else:
        width = min(_WIDTH, picture.width)
        height = max(1, round(picture.height * width / picture.width))
    return picture.resized_bgr(width, height)


def _background(scenes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What stays the same in these pictures; where nothing does, the most usual one of them."""
    middle: NDArray[np.uint8] = np.partition(scenes, len(scenes) // 2, axis=0)[len(scenes) // 2]
    apart = [float(cv2.absdiff(scene, middle).mean()) for scene in scenes]
    if np.median(apart) < _ANOTHER_SCENE:
        return middle
    return np.asarray(scenes[int(np.argmin(apart))], np.uint8)


def _cut(picture: Picture, box_xyxy: Box) -> NDArray[np.uint8]:
    """A box with a margin, as far as it is in the picture, at most `_SIDE` long."""
    limits = np.tile([picture.width, picture.height], 2)
    sides = np.array(box_xyxy).reshape(2, 2)
    margin = _MARGIN * (sides[1] - sides[0])
    around = np.concatenate([np.floor(sides[0] - margin), np.ceil(sides[1] + margin)])
    x1, y1, x2, y2 = np.clip(around, 0, limits).astype(int).tolist()
    image = picture.crop_bgr(min(x1, limits[0] - 1), min(y1, limits[1] - 1), max(x2, 1), max(y2, 1))
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
