"""The rendered world: equal bytes, true boxes, true visibility."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.world import LABELS, SCENES, World
from pipeline.world.cast import Cast, Placement
from pipeline.world.layout import lay_out
from pipeline.world.scenes import SPECS

SCENE_SEEDS = [(scene, seed) for scene in SCENES for seed in (1, 2)]


@pytest.mark.parametrize(("scene", "seed"), SCENE_SEEDS)
def test_the_same_call_gives_the_same_bytes_in_any_order(scene: str, seed: int) -> None:
    forward, backward = World(scene, seed), World(scene, seed)
    ahead = {index: forward.render(index) for index in (0, 1, 40, 500)}
    for index in (500, 40, 1, 0):
        frame, again = ahead[index], backward.render(index)
        assert frame.image_bgr.tobytes() == again.image_bgr.tobytes()
        assert frame.boxes_xyxy.tobytes() == again.boxes_xyxy.tobytes()
        assert frame.ids.tolist() == again.ids.tolist()


def test_another_seed_is_another_street() -> None:
    assert not np.array_equal(
        World("day", 1).render(3).image_bgr, World("day", 2).render(3).image_bgr
    )


def test_the_caller_owns_the_picture() -> None:
    world = World("day", 1)
    world.render(5).image_bgr[:] = 0
    assert world.render(5).image_bgr.any()


@pytest.mark.parametrize(("scene", "seed"), SCENE_SEEDS)
@pytest.mark.parametrize("size", [(640, 360), (320, 180)])
def test_truth_is_well_formed(scene: str, seed: int, size: tuple[int, int]) -> None:
    world = World(scene, seed, *size)
    for index in range(0, 200, 25):
        frame = world.render(index)
        assert frame.image_bgr.shape == (size[1], size[0], 3)
        assert frame.image_bgr.dtype == np.uint8
        boxes = frame.boxes_xyxy
        assert boxes.dtype == np.float32
        assert (boxes >= 0).all()
        assert (boxes <= np.array([*size, *size])).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert ((frame.visibility > 0) & (frame.visibility <= 1)).all()
        assert len(set(frame.ids.tolist())) == len(frame.ids)
        assert ((frame.labels >= 0) & (frame.labels < len(LABELS))).all()


def test_an_objects_colour_is_the_one_it_is_painted_with() -> None:
    """Of vehicles the largest part; a pattern may leave less of a top, and a rider is thin."""
    for item in Cast(lay_out(SPECS["day"], 1, 640, 360)).at(20.0):
        if item.label < 0:
            continue
        solid = item.sprite.bgra[item.sprite.bgra[..., 3] == 255][:, :3].astype(int)
        shaded = np.abs(solid - np.array(item.colour)).max(axis=1) <= 0.22 * max(item.colour) + 2
        assert shaded.mean() > (0.2 if LABELS[item.label] in ("car", "van", "bus") else 0.02)


def test_a_colour_stays_with_its_object() -> None:
    frames = [World("day", 1).render(index) for index in (0, 10)]
    first, later = (dict(zip(f.ids.tolist(), f.colours_bgr.tolist(), strict=True)) for f in frames)
    both = first.keys() & later.keys()
    assert len(both) > 8
    assert all(first[track] == later[track] for track in both)


def test_every_kind_appears() -> None:
    world = World("day", 1)
    seen = {label for index in range(0, 3000, 75) for label in world.render(index).labels.tolist()}
    assert seen == set(range(len(LABELS)))


def test_objects_move_a_little_each_frame_and_come_and_go() -> None:
    world = World("crowd", 3)
    last = {}
    for index in range(100):
        frame = world.render(index)
        whole = frame.visibility > 0.98
        boxes = dict(zip(frame.ids[whole].tolist(), frame.boxes_xyxy[whole], strict=True))
        for track_id in boxes.keys() & last.keys():
            middle = boxes[track_id][[0, 2]].mean() - last[track_id][[0, 2]].mean()
            assert abs(middle) < 20
        last = boxes
    first = set(world.render(0).ids.tolist())
    later = set(world.render(1500).ids.tolist())
    assert not first & later


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Returns a way to render a frame without the actor of a track id."""

    def render(scene: str, seed: int, index: int, track_id: int):  # type: ignore[no-untyped-def]
        at = Cast.at

        def thinned(cast: Cast, t_s: float) -> list[Placement]:
            return [item for item in at(cast, t_s) if item.track_id != track_id]

        with monkeypatch.context() as patch:
            patch.setattr(Cast, "at", thinned)
            return World(scene, seed).render(index)

    return render


@pytest.mark.parametrize("scene", SCENES)
def test_a_box_is_where_its_object_was_painted(scene: str, without) -> None:  # type: ignore[no-untyped-def]
    frame = World(scene, 4).render(90)
    moving = np.flatnonzero((frame.ids > 1000) & (frame.visibility > 0.4))[:8]
    for row in moving:
        other = without(scene, 4, 90, int(frame.ids[row]))
        changed = (frame.image_bgr != other.image_bgr).any(-1)
        x0, y0, x1, y1 = frame.boxes_xyxy[row].astype(int)
        inside = changed[y0:y1, x0:x1]
        # Each edge of the box touches changed pixels; outside lie its shadow and lamps only.
        for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
            assert edge.any()
        assert inside.mean() > 0.15


def test_whoever_stands_in_front_hides(without) -> None:  # type: ignore[no-untyped-def]
    frame = World("crowd", 4).render(90)
    for row in np.flatnonzero((frame.ids > 1000) & (frame.visibility > 0.9)):
        other = without("crowd", 4, 90, int(frame.ids[row]))
        before = dict(zip(frame.ids.tolist(), frame.visibility.tolist(), strict=True))
        after = dict(zip(other.ids.tolist(), other.visibility.tolist(), strict=True))
        # Taking one away never hides another, and shows whoever was behind.
        assert all(after[track_id] >= before[track_id] for track_id in after if track_id in before)
        if any(after[name] > before.get(name, 0.0) + 0.1 for name in after):
            return
    pytest.fail("nobody in the crowd hides anybody")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"scene": "noon"}, "unknown scene 'noon'"),
        ({"width": 10}, "at least 64x64"),
        ({"fps": 0.0}, "fps > 0"),
    ],
)
def test_a_wrong_description_is_refused(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        World(**arguments)  # type: ignore[arg-type]


def test_a_negative_index_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        World().render(-1)
