"""Templates and values become a page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.page import numbers

_TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: Any) -> str:
    """A page.

    Args:
        template: a file of ``templates/``.
        values: what it names. Every text in them is escaped; only `charts` give marked-up text.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "quantity": numbers.quantity,
        "share": numbers.share,
        "decimal": numbers.decimal,
        "clock": numbers.clock,
        "shape": numbers.shape,
    }
    return environment
