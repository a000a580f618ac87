"""``sightline run``: runs a configuration to its end."""

from __future__ import annotations

import json as json_text
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

import pipeline
from pipeline.cli.options import Config, Json, Set, ShownAs
from pipeline.cli.progress import Style, progress
from pipeline.cli.summary import print_failures, print_summary
from pipeline.cli.trace import print_traces, tracer_of, write_traces
from pipeline.daemon.logs import LogStyle
from pipeline.daemon.service import serve
from pipeline.daemon.signals import ended_by_signals
from pipeline.deployment import Deployment
from pipeline.energy import Meter
from pipeline.report import RunReport
from pipeline.sharding.deployment import deploy
from pipeline.supervisor import Observer


def command(
    config: Config,
    set_: Set = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors.")] = False,
    style: ShownAs = "auto",
    daemon: Annotated[
        bool, typer.Option("--daemon", help="As a service: see docs/daemon.md.")
    ] = False,
    log: Annotated[
        LogStyle, typer.Option("--log", help="Of the daemon. auto: json, unless on a terminal.")
    ] = LogStyle.AUTO,
    trace_frame: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CAMERA:FRAME", help="Shows a frame's way, such as gate:100; may be repeated."
        ),
    ] = None,
    trace_every: Annotated[
        int, typer.Option(min=0, help="Shows the way of each camera's every so many frames.")
    ] = 0,
    trace: Annotated[
        Path | None,
        typer.Option(help="Writes these ways to a file for chrome://tracing or ui.perfetto.dev."),
    ] = None,
) -> None:
    """Runs a configuration until its files end or it is stopped.

    The first Ctrl-C lets what is under way finish, the second one ends at once.

    With --json there is a line a second, and the report is the last one. With --daemon there is a
    line an event, SIGHUP reads the configuration again, and --json, --quiet, --progress and --trace
    mean nothing.
    """
    if daemon:
        raise typer.Exit(serve(config, set_ or (), log))
    checked = pipeline.load(config, set_ or ())
    tracer = tracer_of(trace_frame or (), trace_every)
    deployment = deploy(checked, tracer)
    shown = Style.JSON if json else Style.NONE if quiet else Style(style)
    with progress(shown) as (observer, interval_s):
        report = _run(deployment, observer, interval_s)
    if json:
        typer.echo(json_text.dumps({"type": "report", **report.to_json()}))
    elif not quiet and (report.entered or not report.failures):
        print_summary(report)  # of a run that never began, only the failure is worth reading
    if tracer is not None and trace is not None:
        write_traces(tracer, trace)
    if tracer is not None and not json:
        print_traces(tracer)
    print_failures(report, checked)
    raise typer.Exit(report.exit_code)


def _run(deployment: Deployment, observer: Observer | None, interval_s: float) -> RunReport:
    """Runs to the end; the first signal drains, the second one ends at once."""
    meter = Meter()

    def measured(report: RunReport) -> RunReport:
        return replace(report, energy=meter.read())

    def observe(report: RunReport) -> None:
        report = measured(report)
        if observer is not None:
            observer(report)

    with ended_by_signals(deployment.stop, deployment.abort):
        deployment.start()
        report = deployment.wait(observe, interval_s)
    return measured(report)
