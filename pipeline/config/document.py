"""YAML text to plain values that remember where they were written.

The words of YAML 1.2 hold (``true``/``false`` only, ``1e-3`` is a number, ``no`` and ``12:30`` are
text). A key written twice is an error, aliases and ``<<`` work, nothing is ever executed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipeline.config.problem import KeyPath, Place, Problem
from pipeline.config.variables import Secrets, VariableError, substitute

_MOST_VALUES = 100_000  # a few aliases of aliases would otherwise fill the memory

_CORE = "tag:yaml.org,2002:"
_MERGE = _CORE + "merge"
_TAGS = tuple(_CORE + kind for kind in ("str", "map", "seq"))
_PLAIN: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda text: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text[0] in "tT"),
    (re.compile(r"[-+]?[0-9]{1,18}"), int),
    (re.compile(r"0x[0-9a-fA-F]{1,16}"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE), lambda text: float(text.replace(".", ""))),
)


class _Loader(yaml.SafeLoader):
    """Leaves every plain scalar text; `_scalar` gives it its type after substitution."""


_Loader.yaml_implicit_resolvers = {"<": [(_MERGE, re.compile(r"<<"))]}


@dataclass(slots=True)
class Document:
    """A configuration as it was written.

    Attributes:
        name: the file's name, as the user gave it.
        value: mappings, lists and scalars.
        keys: where each key is written.
        places: where each value is written.
        origins: for keys that were filled in, the key whose value they got.
        secrets: what must not be shown.
        problems: what was found wrong so far.
    """

    name: str
    value: Any = None
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: KeyPath, *, key: bool = False) -> Place:
        """Where `path`, or the nearest thing around it that was written, stands."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(self.name))

    def complain(self, path: KeyPath, message: str, remedy: str = "", *, key: bool = False) -> None:
        """Notes a problem at `path`; secrets are taken out of its text."""
        hide = self.secrets.hide
        self.problems.append(Problem(self.place(path, key=key), path, hide(message), hide(remedy)))


def parse(text: str, name: str, environment: Mapping[str, str]) -> Document:
    """Reads YAML. What is wrong with it is in the document's `problems`."""
    document = Document(name)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(error, text, name))
        return document
    if node is not None:
        document.value = _Reader(document, environment).read(node, (), ())
    return document


def _syntax_problem(error: yaml.YAMLError, text: str, name: str) -> Problem:
    remedy = "check the indentation, the quotes and the brackets around this line"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return Problem(Place(name), (), f"this is not YAML: {str(error).splitlines()[0]}", remedy)
    if "${" in text.splitlines()[min(mark.line, text.count("\n"))]:
        remedy = 'between { } or [ ] a value with ${…} needs quotes: "${NAME}"'
    told = getattr(error, "problem", None) or getattr(error, "context", None)
    return Problem(
        Place(name, mark.line + 1, mark.column + 1), (), f"this is not YAML: {told}", remedy
    )


class _Reader:
    """Walks the nodes of one text."""

    def __init__(self, document: Document, environment: Mapping[str, str]) -> None:
        self._document = document
        self._environment = environment
        self._count = 0

    def read(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> Any:
        document = self._document
        document.places[path] = self._place(node)
        self._count += 1
        if node in above or self._count > _MOST_VALUES:
            if self._count <= _MOST_VALUES + 1:
                document.complain(path, "the aliases lead in a circle or blow up", "write it out")
            return None
        if node.tag not in _TAGS:
            document.complain(path, f"the tag {node.tag} is not allowed", "write the plain value")
            return None
        above = (*above, node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i), above) for i, item in enumerate(node.value)]
        return self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(
        self, node: yaml.MappingNode, path: KeyPath, above: tuple[yaml.Node, ...]
    ) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        # Merged keys first, so that the places of the mapping's own keys stand in the end.
        for key_node, value_node in sorted(node.value, key=lambda item: item[0].tag != _MERGE):
            if key_node.tag == _MERGE:
                merged = self._merge(value_node, path, above) | merged
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            place = self._place(key_node)
            if key is None:
                self._document.problems.append(Problem(place, path, "a key must be a word"))
            elif key in own:
                first = self._document.keys[*path, key]
                self._document.problems.append(
                    Problem(place, (*path, key), f"written twice, first in line {first.line}",
                            "keep one of them")
                )  # fmt: skip
            else:
                self._document.keys[*path, key] = place
                own[key] = self.read(value_node, (*path, key), above)
        self._document.places[path] = self._place(node)
        return merged | own

    def _merge(
        self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]
    ) -> dict[str, Any]:
        """The mapping, or list of mappings, behind ``<<``; earlier ones win."""
        result: dict[str, Any] = {}
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            value = self.read(part, path, above)
            if not isinstance(value, dict):
                self._document.complain(path, "<< expects a mapping", "use <<: *anchor")
                continue
            result = value | result
        return result

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        document = self._document
        try:
            text = substitute(node.value, self._environment, document.secrets)
        except VariableError as error:
            message, _, remedy = str(error).partition("; ")
            document.complain(path, message, remedy)
            return None
        return typed(text) if node.style is None else text

    def _place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(self._document.name, mark.line + 1, mark.column + 1)


def typed(text: str) -> Any:
    """A plain (unquoted) scalar as YAML's core schema reads it."""
    for pattern, convert in _PLAIN:
        if pattern.fullmatch(text):
            return convert(text)
    return text
