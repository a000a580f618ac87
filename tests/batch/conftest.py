"""What the tests of a batch may ask for, beside what all may."""

from tests.media.conftest import make_clip, scene

__all__ = ["make_clip", "scene"]
