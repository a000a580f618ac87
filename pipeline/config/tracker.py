"""The configuration of a tracker that has no pipeline around it: a preset, and what is changed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from pipeline.config import overrides
from pipeline.config.complaints import complain
from pipeline.config.document import Document
from pipeline.errors import ConfigError
from pipeline.tracking.spec import TrackSpec


def track_spec(
    preset: str, keys: Mapping[str, Any] | None = None, changes: Sequence[str] = ()
) -> TrackSpec:
    """What a `track:` section with this preset, these keys and changes would say.

    Args:
        preset: a name or the path of a YAML file.
        keys: of the section, plain values.
        changes: ``"rounds.high.at_least=0.3"`` and the like, applied in order.

    Raises:
        ConfigError: with every problem, each naming the key and the remedy.
    """
    document = Document(f"preset {preset}", {"preset": preset, **(keys or {})})
    for change in changes:
        overrides.apply(document, change, os.environ)
    try:
        # As JSON a list may become a tuple, yet no text a number.
        spec = TrackSpec.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        complain(document, error, TrackSpec.model_json_schema())
    if document.problems:
        raise ConfigError(*document.problems)
    return spec
