"""Presets: trackers of the literature, and our own, as a few lines of configuration each.

They are files (``configs/trackers/NAME.yaml``) with keys of the `track:` section, over the same
parts of this folder; what a file leaves out has the default of `TrackSpec`. A file of one's own,
such as `sightline tune` writes, is named by its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipeline.resources import shipped

DEFAULT = "sightline"
NAMES = (DEFAULT, "sort", "deepsort", "bytetrack", "ocsort", "botsort")


def problem(name: str) -> str:
    """Why there is no preset of that name or path, and what to do; empty where there is one."""
    if name in NAMES:
        return ""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        return f"there is no preset {name!r}; there are {', '.join(NAMES)}, or name a .yaml file"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return f"the preset {name} cannot be read: {error}"
    if not isinstance(found, dict):
        return f"the preset {name} is not a mapping of keys of the section track"
    if found.get("preset", DEFAULT) not in NAMES:
        return f"the preset {name}: a preset in a file may build on {', '.join(NAMES)} only"
    return ""


def read(name: str) -> Mapping[str, Any]:
    """The keys of a preset that has no `problem`, on those it builds on; lists are tuples."""
    if name in NAMES:
        return _shipped(name)
    keys = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    return merged(_shipped(keys.get("preset", DEFAULT)), keys)


def merged(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings; where they share a key the given value counts, inside mappings key by key.

    Lists become tuples: what is merged is no longer JSON, and a strict model takes no list for one.
    """
    both = dict(base)
    for key, value in given.items():
        old = both.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            both[key] = merged(old, value)
        else:
            both[key] = _frozen(value)
    return both


@cache
def _shipped(name: str) -> Mapping[str, Any]:
    text = (shipped("configs") / "trackers" / f"{name}.yaml").read_text(encoding="utf-8")
    keys: Mapping[str, Any] = _frozen(yaml.safe_load(text))
    return keys


def _frozen(value: Any) -> Any:
    """The value with tuples for lists."""
    if isinstance(value, Mapping):
        return {key: _frozen(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_frozen(each) for each in value)
    return value
