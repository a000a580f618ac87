"""``sightline``: the commands, and how errors reach people.

Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration, 3 a camera or a video
failed, 4 the frame ledger does not balance, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from engines.errors import EngineError, OptionError
from pipeline.cli import (
    batch,
    bench,
    check,
    demo,
    doctor,
    engines,
    listen,
    models,
    parity,
    plan,
    quant_report,
    record,
    run,
    schema,
    track,
    tune,
)
from pipeline.cli import compile as compilation
from pipeline.cli import eval as evaluation
from pipeline.errors import ChangedError, ConfigError, GraphError, ModelError, SightlineError

_WRONG_INPUT = (ChangedError, ConfigError, GraphError, ModelError, OptionError)

app = typer.Typer(
    name="sightline",
    help="Camera streams and files to tracked objects, on any mix of hardware.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run.command)
app.command("batch")(batch.command)
app.command("demo")(demo.command)
app.command("check")(check.command)
app.command("doctor")(doctor.command)
app.command("listen")(listen.command)
app.command("track")(track.command)
app.command("tune")(tune.command)
app.command("eval")(evaluation.command)
app.command("engines")(engines.command)
app.command("bench")(bench.command)
app.command("parity")(parity.command)
app.command("plan")(plan.command)
app.command("compile")(compilation.command)
app.command("quant-report")(quant_report.command)
app.command("record")(record.record_command)
app.command("replay")(record.replay_command)
app.command("schema")(schema.command)
app.add_typer(models.app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            text = version("sightline")
        except PackageNotFoundError:
            text = "from its source folder, not installed"
        typer.echo(f"sightline {text}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Says the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Shows where in the program an error arose.")
    ] = False,
) -> None:
    # Typer wants the options named here; --version acts in its callback, --debug in `main`.
    del version, debug


@app.command("version")
def _version() -> None:
    """Says the version."""
    _print_version(True)


def main() -> None:
    """The entry point: an error that we foresaw is one message, not a traceback."""
    try:
        app()
    except (SightlineError, EngineError) as error:
        if "--debug" in sys.argv:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, _WRONG_INPUT) else 1)


if __name__ == "__main__":
    main()
