"""The pinhole camera that looks along the street, and where the ground lies in its picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GroundCamera:
    """A camera above a flat ground, looking level along +z.

    Ground coordinates are metres: x to the right, z away from the camera. Picture coordinates are
    pixels of the canvas, which is the picture with a margin on every side for the shake.
    """

    width: int
    """Canvas width, pixels."""
    height: int
    """Canvas height, pixels."""
    focal_px: float
    horizon_px: float
    """Row of the horizon on the canvas."""
    mount_m: float
    """Height of the camera above the ground."""

    def scale(self, z_m: float) -> float:
        """Returns pixels per metre at depth `z_m`."""
        return self.focal_px / z_m

    def project(self, x_m: float, z_m: float, up_m: float = 0.0) -> tuple[float, float]:
        """Returns the canvas (column, row) of the point `up_m` above ground point (x, z)."""
        scale = self.focal_px / z_m
        return self.width / 2 + scale * x_m, self.horizon_px + scale * (self.mount_m - up_m)

    def half_width_m(self, z_m: float) -> float:
        """Returns how far to each side the picture reaches at depth `z_m`."""
        return self.width / 2 * z_m / self.focal_px
