"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Config = Annotated[Path, typer.Argument(help="A YAML configuration.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Changes one key, such as stages.detect.workers=2 or cameras.gate.uri=a.mp4; "
        "may be given again.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
ShownAs = Annotated[
    Literal["auto", "rich", "plain"],
    typer.Option("--progress", help="auto: a table on a terminal, else lines."),
]
