"""``sightline models``: which there are, what they say, how they come here and are checked."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Column, Table

from pipeline.cli import compress, convert, sealed
from pipeline.cli.console import console
from pipeline.cli.options import Json
from pipeline.models import Entry, entries, find, load_model, prove, pull
from pipeline.models.download import Progress
from pipeline.models.sealed import Access, is_sealed

app = typer.Typer(
    help="Models: those shipped, and those the catalogue can download.", no_args_is_help=True
)
sealed.add_commands(app)
app.command("convert")(convert.command)
compress.add_commands(app)
Name = Annotated[
    str, typer.Argument(help="A model's name, its folder, or a sealed file.", show_default=False)
]


@app.command("list")
def list_models(json: Json = False) -> None:
    """Lists the models that a configuration can name."""
    found = entries()
    if json:
        typer.echo(json_text.dumps([_facts(entry) for entry in found], ensure_ascii=False))
        return
    table = Table(
        Column("model", no_wrap=True),
        "for",
        Column("state", no_wrap=True),
        Column("MB", justify="right"),
        "licence",
        "what it is",
        box=SIMPLE_HEAD,
    )
    for entry in found:
        manifest = entry.manifest
        size = sum(file.size for file in entry.files()) / 1e6
        table.add_row(
            manifest.name,
            manifest.task,
            _state(entry),
            f"{size:.1f}" if size else "",
            manifest.licence,
            manifest.description,
        )
    console().print(table)


@app.command()
def show(name: Name, json: Json = False, signer: sealed.Signers = "") -> None:
    """Shows all a model says about itself; of a sealed file what lies open, without a key."""
    facts = sealed.facts(Path(name), signer) if is_sealed(name) else _facts(find(name))
    if json:
        typer.echo(json_text.dumps(facts, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True), nl=False)


@app.command("pull")
def pull_models(
    names: Annotated[list[str], typer.Argument(help="Names from the catalogue.")],
    mirror: Annotated[
        str | None, typer.Option(help="A folder or URL with copies: NAME/FILE.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of the weights; the model's first if not given.")
    ] = None,
) -> None:
    """Downloads models; what broke off is continued, every file's hash is checked."""
    for name in names:
        with _shown_progress(name) as progress:
            entry = pull(name, mirror=mirror, precision=precision, progress=progress)
        typer.echo(f"{name}: complete and checked in {entry.folder}")


@app.command("verify")
def verify_models(
    names: Annotated[list[str] | None, typer.Argument(help="All that are here if none.")] = None,
    backend: Annotated[
        str, typer.Option(help="Runs the test vector; the first that can if not given.")
    ] = "",
    key: sealed.Key = "",
    signer: sealed.Signers = "",
) -> None:
    """Checks models' files against their hashes, and what they compute against a test vector.

    Of a sealed file also its signature and its licence.
    """
    access = Access.given(key, signer)
    for name in names or [entry.manifest.name for entry in entries() if _is_here(entry)]:
        package = load_model(name, access=access)
        text = "hashes are right" if package.manifest.files else "built in"
        if package.sealed:
            text += f", {sealed.seal(package.sealed.header)}"
        if package.manifest.test_vector:
            off = prove(package, backend)
            for engine, worst in off.items():
                text += f", test vector on {engine} is {worst:.1e} off"
            text += "" if off else ", no engine here runs its test vector"
        typer.echo(f"{name}: {text}")


def _is_here(entry: Entry) -> bool:
    return not entry.missing and not entry.manifest.lacking


def _state(entry: Entry) -> str:
    if not entry.manifest.files:
        return "built in"
    if entry.missing:
        return "to be pulled"
    return entry.origin if entry.origin == "shipped" else "here"


def _facts(entry: Entry) -> dict[str, Any]:
    manifest = entry.manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**manifest, "state": _state(entry), "folder": str(entry.folder)}


@contextmanager
def _shown_progress(name: str) -> Iterator[Progress]:
    """A bar a file on a terminal; nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
               TransferSpeedColumn())  # fmt: skip
    terminal = Console(stderr=True)
    with ProgressBar(*columns, console=terminal, disable=not terminal.is_terminal) as bar:
        tasks = {}

        def progress(path: str, here: int, total: int) -> None:
            if path not in tasks:
                tasks[path] = bar.add_task(f"{name}/{path}", total=total)
            bar.update(tasks[path], completed=here)

        yield progress
