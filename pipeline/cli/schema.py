"""``sightline schema``: what a configuration may say, for editors and for the documentation."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline.config import json_schema
from pipeline.config.reference import reference


def command(
    markdown: Annotated[
        bool,
        typer.Option("--markdown", help="Tables for people: the end of docs/configuration.md."),
    ] = False,
) -> None:
    """Prints the JSON Schema of a configuration.

    Editors with a YAML language server use it where a configuration begins with

    # yaml-language-server: $schema=sightline.schema.json
    """
    if markdown:
        typer.echo(reference(), nl=False)
    else:
        typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
