"""From a file to a checked configuration, or to everything that is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from pipeline.config import checks, overrides
from pipeline.config.complaints import complain
from pipeline.config.completion import complete
from pipeline.config.document import Document, parse
from pipeline.config.overlay import Overlay
from pipeline.config.schema import PipelineConfig
from pipeline.config.secrecy import note_secrets
from pipeline.errors import ConfigError


class Amendment(Protocol):
    """What changes a document before it is checked."""

    def apply(self, document: Document) -> None:
        """Changes it in place; what is wrong goes to its `problems`."""


def load(path: Path | str, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Reads a configuration file.

    Args:
        path: a YAML file, UTF-8. Relative paths inside it are relative to the working directory.
        overrides: ``"stages.detect.workers=2"`` and the like, applied in order.

    Raises:
        ConfigError: with every problem, each naming file, line, column, key and remedy.
    """
    return loads(read(path), str(path), overrides)


def read(path: Path | str) -> str:
    """The text of a configuration file. Raises `ConfigError` where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: the configuration cannot be read: {error.strerror}; check the path"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: this is not UTF-8 text; give a YAML file") from None


def loads(
    text: str,
    name: str = "configuration",
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    overlay: Amendment | None = None,
) -> PipelineConfig:
    """Reads a configuration from text.

    Args:
        text: YAML.
        name: stands in messages where a file's name would.
        overrides: as in `load`.
        environment: for ``${NAME}``; the process's own by default.
        overlay: applied after the overrides.

    Raises:
        ConfigError: as in `load`.
    """
    environment = os.environ if environment is None else environment
    document = parse(text, name, environment)
    if document.value is not None or not document.problems:
        config = _checked(document, overrides, environment, overlay or Overlay())
        if config is not None and not document.problems:
            return config
    raise ConfigError(*sorted(document.problems, key=lambda problem: problem.place.line))


def _checked(
    document: Document,
    changes: Sequence[str],
    environment: Mapping[str, str],
    overlay: Amendment,
) -> PipelineConfig | None:
    """The complete configuration; None, and problems in the document, where something is wrong."""
    if document.value is None:
        document.value = {}
    for change in changes:
        overrides.apply(document, change, environment)
    written = checks.camera_ids(document)
    overlay.apply(document)
    checks.check(document, written)
    try:
        # As JSON a list may become a tuple, yet no text a number.
        config = PipelineConfig.model_validate_json(json.dumps(_plain(document.value)), strict=True)
    except ValidationError as error:
        complain(document, error, json_schema())
        return None
    note_secrets(config, document.secrets)
    if document.problems:
        return None
    config._document = document
    return complete(config, document)


def _plain(value: Any) -> Any:
    """The written values with what may be left out: a kind is the name, one text is a list."""
    if not isinstance(value, dict):
        return value
    cameras, stages = value.get("cameras"), value.get("stages")
    if isinstance(cameras, list):
        value = value | {"cameras": [_with_lists(camera, "decoder") for camera in cameras]}
    if isinstance(stages, dict):
        plain = {name: _plain_stage(name, stage) for name, stage in stages.items()}
        value = value | {"stages": plain}
    return value


def _plain_stage(name: str, stage: Any) -> Any:
    if not isinstance(stage, dict | None):
        return stage
    return _with_lists({"kind": name} | (stage or {}), "after", "engine")


def _with_lists(entry: Any, *keys: str) -> Any:
    """The entry with a list where one of the keys has a single text."""
    if not isinstance(entry, dict):
        return entry
    return entry | {key: [entry[key]] for key in keys if isinstance(entry.get(key), str)}


@cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration file, for editors and other tools."""
    schema = PipelineConfig.model_json_schema()
    schema["title"] = "Sightline configuration"
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    stages = schema["properties"]["stages"]
    kinds = next(iter(stages["patternProperties"].values()))["discriminator"]["mapping"]
    stages["properties"] = {
        kind: {"anyOf": [{"$ref": kinds[kind]}, {"type": "null"}]} for kind in kinds
    }
    stages["additionalProperties"] = {
        "anyOf": [{"$ref": reference} for reference in kinds.values()],
        "required": ["kind"],
    }
    del stages["patternProperties"]
    return schema
