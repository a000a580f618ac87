"""A rendered street scene with exact ground truth: `World(scene, seed).render(index)`."""

from pipeline.world.scenes import LABELS, SCENES
from pipeline.world.world import World, WorldFrame

__all__ = ["LABELS", "SCENES", "World", "WorldFrame"]
