"""What of a configuration is secret by its meaning, wherever it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from pipeline.config.schema import PipelineConfig
from pipeline.config.variables import Secrets

_HIDDEN = "***"


def note_secrets(config: PipelineConfig, secrets: Secrets) -> None:
    """Hides passwords and keys that stand in the configuration itself, as those from outside."""
    for secret in _secrets_of(config):
        secrets.add(secret, _HIDDEN)


def secret_variables(config: PipelineConfig, environment: Mapping[str, str]) -> list[str]:
    """The variables that hold nothing but a secret of the configuration; no child needs them."""
    hidden = {*_secrets_of(config), *(camera.uri for camera in config.cameras)}
    return [name for name, value in environment.items() if value in hidden]


def _secrets_of(config: PipelineConfig) -> Iterator[str]:
    yield from _secret_values(config)
    for camera in config.cameras:
        yield from _passwords(camera.uri)


def _secret_values(value: Any) -> Iterator[str]:
    """Every `SecretStr` in a model, whatever holds it."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from _secret_values([getattr(value, name) for name in type(value).model_fields])
    elif isinstance(value, dict):
        yield from _secret_values(value.values())
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for item in value:
            yield from _secret_values(item)


def _passwords(uri: str) -> Iterator[str]:
    """The password of a URI, as it is written and as it is meant."""
    try:
        password = urlsplit(uri).password
    except ValueError:  # no valid URI: `redact` takes care of what looks like one
        return
    if password:
        yield password
        yield unquote(password)
