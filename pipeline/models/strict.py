"""The base of all parts of a manifest."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """No unknown keys, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
