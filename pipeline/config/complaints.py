"""What pydantic found wrong, told in the words of people who write YAML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.config.document import Document
from pipeline.config.problem import KeyPath, suggest

_Schema = Mapping[str, Any]

_TYPES = {
    "string": "text",
    "path": "a path",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping (key: value)",
    "model": "a mapping (key: value)",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "greater_than": ("more than", "gt"),
    "less_than": ("less than", "lt"),
}
_UNITS = {"_s": "seconds", "_ms": "milliseconds", "fps": "frames per second", "_px": "pixels"}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}
_QUANTITY = re.compile(r"([-+]?[0-9]*\.?[0-9]+)\s*([a-z]*)")


def complain(document: Document, error: ValidationError, schema: _Schema) -> None:
    """Adds what `error` says to the document's problems, one a key.

    Args:
        document: what was checked.
        error: from checking `document.value`.
        schema: the JSON Schema of the model that checked.
    """
    known = {problem.path for problem in document.problems}
    grouped: dict[KeyPath, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        if _is_aftermath(details):
            continue
        grouped.setdefault(_walk(schema, details)[0], []).append(details)
    for path, group in grouped.items():
        if path not in known:  # a value that could not be read has been complained about
            message, remedy = _tell(path, group, schema)
            is_key = group[0]["type"] == "extra_forbidden"
            document.complain(path, message, remedy, key=is_key)


def _is_aftermath(details: ErrorDetails) -> bool:
    """Whether a list is called too short only because entries of it are wrong."""
    value = details["input"]
    return (
        details["type"] == "too_short"
        and isinstance(value, list)
        and len(value) >= details["ctx"]["min_length"]
    )


def _tell(path: KeyPath, group: list[ErrorDetails], schema: _Schema) -> tuple[str, str]:
    """Message and remedy for all that was found at one path."""
    first, node = group[0], _walk(schema, group[0])[1]
    kind, context = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key '{path[-1]}'", suggest(str(path[-1]), _keys([node], schema))
    if kind == "missing":
        return f"is missing{_hint(_child(node, path[-1], schema))}", ""
    if kind == "union_tag_invalid":
        tags = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
        found, key = context["tag"], context["discriminator"].strip("'")
        if key != "kind":
            return f"'{found}' is no {key}", suggest(found, tags)
        if "rules" in path:
            return f"'{found}' is no kind of rule", suggest(found, tags)
        return f"'{found}' is no kind of stage", f"{suggest(found, tags)} (or say 'kind:')"
    if kind == "union_tag_not_found":
        tags = list(node.get("discriminator", {}).get("mapping", ()))
        return f"has no {context['discriminator']}", f"say one of {', '.join(tags)}"
    if kind in ("value_error", "assertion_error"):
        message, _, remedy = str(context["error"]).partition("; ")
        return message, remedy
    expected = " or ".join(dict.fromkeys(filter(None, (_expected(d, path) for d in group))))
    if any(member.get("writeOnly") for member in _members([node], schema)):  # a secret
        return f"expected {expected}, found something else{_hint(node)}", ""
    message = f"expected {expected}, found {_found(first['input'])}"
    if remedy := _remedy(group, path):
        return message, remedy
    return f"{message}{_hint(node)}", ""


def _expected(details: ErrorDetails, path: KeyPath) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{words} {context[key]}"
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind in ("too_short", "string_too_short"):
        return f"at least {context['min_length']} {_counted(details['input'])}"
    if kind in ("too_long", "string_too_long"):
        return f"at most {context['max_length']} {_counted(details['input'])}"
    if kind == "string_pattern_mismatch":
        return f"text like {context['pattern']}"
    if kind == "none_required":
        return ""
    word = _TYPES.get(kind.split("_")[0], details["msg"])
    return f"a number of {_unit(path)}" if word == "a number" and _unit(path) else word


def _counted(value: Any) -> str:
    return "characters" if isinstance(value, str) else "entries"


def _unit(path: KeyPath) -> str:
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    return next((unit for suffix, unit in _UNITS.items() if key.endswith(suffix)), "")


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return repr(value)


def _remedy(group: list[ErrorDetails], path: KeyPath) -> str:
    value, kinds = group[0]["input"], {details["type"].split("_")[0] for details in group}
    if isinstance(value, str):
        if kinds & {"float", "int"} and (number := _without_unit(value, _unit(path))):
            return f"write {number}"
        for details in group:
            if details["type"] in ("literal_error", "enum"):
                options = re.findall(r"'([^']*)'", str(details.get("ctx", {})["expected"]))
                close = suggest(value, options)
                if close.startswith("did"):
                    return close
    elif "string" in kinds and isinstance(value, int | float):
        return f'put it in quotes: "{_found(value)}"'
    return ""


def _without_unit(text: str, unit: str) -> str:
    """'500ms' where seconds are expected is '0.5'; '' where the text is no quantity."""
    match = _QUANTITY.fullmatch(text.strip().lower())
    if match is None:
        return ""
    number, written = float(match[1]), match[2]
    if written in _SECONDS and unit in ("seconds", "milliseconds"):
        number *= _SECONDS[written] / (1.0 if unit == "seconds" else 1e-3)
    elif written:
        return match[1]
    return f"{number:g}"


def _hint(node: _Schema) -> str:
    """What the key is for, from its description, in brackets."""
    text = str(node.get("description", "")).partition("\n")[0].rstrip(".")
    return f" ({text})" if text else ""


def _walk(schema: _Schema, details: ErrorDetails) -> tuple[KeyPath, _Schema]:
    """The path of an error without pydantic's marks for the members of unions, and its schema.

    For an unknown or missing key the schema is that of the mapping around it.
    """
    location = details["loc"]
    about_key = details["type"] in ("extra_forbidden", "missing")
    nodes: list[_Schema] = [schema]
    path: list[str | int] = []
    for part in location[:-1] if about_key else location:
        members = list(_members(nodes, schema))
        below = [child for node in members if (child := _child(node, part, schema))]
        if below:
            nodes = below
            path.append(part)
        else:
            nodes = [node for node in members if _is_called(node, part)] or nodes
    if about_key:
        path.append(location[-1])
        wanted = [n for n in _members(nodes, schema) if n.get("properties")]
        nodes = wanted or nodes
        if len(nodes) > 1:
            return tuple(path), {"properties": dict(_properties(nodes))}
    return tuple(path), nodes[0]


def _members(nodes: Iterable[_Schema], schema: _Schema) -> Iterator[_Schema]:
    """The nodes with references followed and unions taken apart."""
    for node in nodes:
        if reference := node.get("$ref"):
            definition = schema["$defs"][reference.removeprefix("#/$defs/")]
            kept = {"description": node["description"]} if "description" in node else {}
            yield from _members([{**definition, **kept}], schema)
        elif union := node.get("anyOf") or node.get("oneOf"):
            yield from _members(union, schema)
        else:
            yield node


def _child(node: _Schema, part: str | int, schema: _Schema) -> _Schema:
    """The schema below a key or index; empty where there is none."""
    for member in _members([node], schema):
        if isinstance(part, int):
            child = member.get("items")
        else:
            by_name = [
                member.get("additionalProperties"),
                *member.get("patternProperties", {}).values(),
            ]
            child = member.get("properties", {}).get(part) or next(filter(None, by_name), None)
        if isinstance(child, Mapping):
            return child
    return {}


def _is_called(node: _Schema, mark: str | int) -> bool:
    """Whether pydantic's mark for a union's member means this node."""
    constants = (child.get("const") for child in node.get("properties", {}).values())
    return node.get("title") == mark or mark in constants


def _properties(nodes: Iterable[_Schema]) -> Iterator[tuple[str, Any]]:
    for node in nodes:
        yield from node.get("properties", {}).items()


def _keys(nodes: Iterable[_Schema], schema: _Schema) -> list[str]:
    return [key for key, _ in _properties(_members(nodes, schema))]
