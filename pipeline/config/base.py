"""What the parts of the schema have in common: strictness, and the types of values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
#: What the keys about full inboxes say.
POLICIES = "block: wait; drop_oldest, drop_newest: a frame goes, counted."

Name = Annotated[str, Field(pattern=_NAME, max_length=64)]
#: In place of an engine's id: the fastest one.
AUTO = "auto"
# In a file one text may stand for a list of one (see `loading`).
_ONE_OR_MORE = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)
Names = Annotated[tuple[Name, ...], _ONE_OR_MORE]
Texts = Annotated[tuple[str, ...], _ONE_OR_MORE]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=1, le=16_384)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Workers = Annotated[int, Field(ge=1, le=64)] | Literal["auto"]


class Strict(BaseModel):
    """Base of all parts: no unknown keys, no converted types, nothing changes once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )
