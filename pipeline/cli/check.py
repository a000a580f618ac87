"""``sightline check``: validates a configuration and shows what would run; starts nothing."""

from __future__ import annotations

import json as json_text
from typing import Annotated

import typer
import yaml

import pipeline
from pipeline.cli.options import Config, Set
from pipeline.config import PipelineConfig
from pipeline.errors import ConfigError, SourceError
from pipeline.graph import Graph


def command(
    config: Config,
    set_: Set = None,
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="The graph as a Mermaid flowchart.")
    ] = False,
    dump: Annotated[
        bool, typer.Option("--dump", help="The whole configuration, defaults and all, as YAML.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The same as --dump, as JSON.")] = False,
) -> None:
    """Validates a configuration, draws its graph and shows what runs where; starts nothing.

    Models and files must be there; whether a network camera answers is not asked.
    Secrets are never shown.
    """
    checked = pipeline.load(config, set_ or ())
    graph = pipeline.build(checked)
    require_sources(checked, graph)
    if json:
        typer.echo(json_text.dumps(checked.redacted(), ensure_ascii=False))
    elif dump:
        typer.echo(
            yaml.safe_dump(checked.redacted(), sort_keys=False, allow_unicode=True), nl=False
        )
    else:
        typer.echo(graph.mermaid() if mermaid else graph.text())


def require_sources(config: PipelineConfig, graph: Graph) -> None:
    """Raises `ConfigError` for the files and devices that are not there; opens none."""
    problems = []
    for index, camera in enumerate(graph.cameras):
        try:
            camera.make()
        except SourceError as error:
            problems.append(f"{config.where('cameras', index, 'uri')}: {error}")
    if problems:
        raise ConfigError(*problems)
