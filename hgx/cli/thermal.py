"""``hgx thermal``: how warm devices are, will be, and what a policy makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hgx.cli.options import HomeOption, JsonOption, QuietOption, settings

if TYPE_CHECKING:
    from hgx.thermal.activity import Activity

app = typer.Typer(rich_markup_mode=None, add_completion=False)

IntervalOption = Annotated[
    float, typer.Option("--interval", min=0.1, max=3600, help="Seconds between readings.")
]
CountOption = Annotated[
    int | None, typer.Option("--count", min=1, help="Looks after which it ends.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="ID",
        help="Of this machine, as cuda:0. Default: the only one, or the only one beside the CPU.",
    ),
]
ActivityOption = Annotated[
    str | None,
    typer.Option(
        "--activity",
        metavar="KIND[:TYPE[:BATCH]]",
        help="What it does meanwhile: idle, prefill or decode, as decode:Q4_K:8.",
    ),
]
LimitOption = Annotated[
    float | None,
    typer.Option(
        "--limit", metavar="CELSIUS", help="Not to be exceeded. Default: where it slows down."
    ),
]
PlotOption = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw it, as SVG.")]


@app.callback(invoke_without_command=True, short_help="How warm devices are, will be, and may be.")
def thermal(
    context: typer.Context,
    *,
    interval: IntervalOption = 2.0,
    count: CountOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx thermal                             a live table, until Ctrl+C
      hgx thermal record trace.csv            temperature and power, as CSV
      hgx thermal fit trace.csv               learn a device's heat from that
      hgx thermal forecast --activity decode  how warm it will be
      hgx thermal simulate                    what pauses would come to

    Show the temperature of this machine's devices, where they slow down and shut off, what they
    draw, why they are throttled, and when they would reach their limit if they went on like that.
    """
    context.obj = settings(context, home, quiet=quiet)
    if context.invoked_subcommand is not None:
        return
    from hgx.cli.render.thermal import show_looks
    from hgx.flows.thermal_live import looks
    from hgx.store.home import Home

    show_looks(looks(Home(context.obj.home), interval, count), as_json=as_json)


@app.command(short_help="Write temperature and power over time into a file.")
def record(
    context: typer.Context,
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="The CSV file to write.")],
    *,
    device: DeviceOption = None,
    interval: IntervalOption = 1.0,
    duration: Annotated[
        float | None,
        typer.Option("--duration", metavar="SECONDS", min=0, help="Default: until Ctrl+C."),
    ] = None,
    activity: ActivityOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx thermal record trace.csv                         until Ctrl+C
      hgx thermal record trace.csv --device cuda:0 --interval 0.5 --duration 600
      hgx thermal record decode.csv --activity decode:Q4_K:1 --duration 120
      hgx thermal record idle.csv --activity idle --duration 120

    Record a device's temperature and power as CSV with units in the names of the columns. To fit a
    model, let it be idle, work fully, and be idle again: some minutes of each. What one activity
    draws, above all rest, is learnt from a trace of that alone, which is fitted after that.
    """
    from hgx.cli.render.thermal import recording, show_recorded
    from hgx.flows.thermal_devices import chosen_device
    from hgx.flows.thermal_record import Wanted, write_trace
    from hgx.flows.thermal_record import record as run
    from hgx.store.home import Home

    wanted = settings(context, home, quiet=quiet)
    doing = _activity(activity) if activity else None
    chosen = chosen_device(Home(wanted.home), device)
    with recording(quiet=wanted.quiet or as_json) as show:
        found = run(Wanted(chosen, interval, duration, doing), show)
    write_trace(trace, found)
    show_recorded(trace, len(found.time_s), as_json=as_json, quiet=wanted.quiet)


@app.command(short_help="Learn a device's heat from a trace.")
def fit(
    context: typer.Context,
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A CSV file of `record`.")],
    *,
    device: DeviceOption = None,
    stages: Annotated[
        int | None,
        typer.Option("--stages", min=1, max=2, help="RC stages. Default: what fits."),
    ] = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx thermal fit trace.csv
      hgx thermal fit trace.csv --device cuda:0 --plot fit.svg
      hgx thermal fit idle.csv                  what it draws at rest, besides

    Fit how warm which power makes a device and how soon, and keep that in the registry with its
    evidence. A trace that does not tell enough is refused, with the reason; once a device was
    fitted, a trace of one activity alone teaches what that draws.
    """
    from hgx.cli.render.console import busy
    from hgx.cli.render.thermal import show_fitted
    from hgx.cli.render.thermal_plot import draw_fitted, write_plot
    from hgx.flows.thermal_devices import chosen_device
    from hgx.flows.thermal_fit import fit_trace
    from hgx.store.home import Home

    wanted = settings(context, home, quiet=quiet)
    where = Home(wanted.home)
    with busy("Fitting", quiet=wanted.quiet or as_json):
        fitted = fit_trace(where, chosen_device(where, device), trace, stages=stages)
    if plot:
        write_plot(plot, draw_fitted(fitted))
    show_fitted(fitted, as_json=as_json, quiet=wanted.quiet)


@app.command(short_help="How warm a device will be, and what it can keep up.")
def forecast(
    context: typer.Context,
    *,
    activity: ActivityOption = "decode",
    device: DeviceOption = None,
    duration: Annotated[
        float, typer.Option("--duration", metavar="SECONDS", min=1, max=86400, help="How far.")
    ] = 600.0,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", metavar="CELSIUS", help="Begin there, not as warm as now."),
    ] = None,
    limit: LimitOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx thermal forecast --activity decode:Q4_K:8
      hgx thermal forecast --activity prefill --temperature 40 --plot heat.svg

    Forecast the temperature of a device that was fitted, if it does something from now on: when it
    would reach its limit, and what share of that work it can keep up for ever.
    """
    from hgx.cli.render.thermal import show_forecast
    from hgx.cli.render.thermal_plot import draw_forecast, write_plot
    from hgx.flows.thermal_devices import chosen_device
    from hgx.flows.thermal_forecast import Question, answer
    from hgx.store.home import Home

    wanted = settings(context, home, quiet=quiet)
    doing = _activity(activity or "decode")
    chosen = chosen_device(Home(wanted.home), device)
    found = answer(Question(chosen, doing, duration, temperature, limit))
    if plot:
        write_plot(plot, draw_forecast(found))
    show_forecast(found, as_json=as_json, quiet=wanted.quiet)


@app.command(short_help="What a policy would come to.")
def simulate(
    context: typer.Context,
    *,
    policy: Annotated[
        Literal["hgx", "none"],
        typer.Option("--policy", help="hgx is what `hgx serve` does; none does nothing."),
    ] = "hgx",
    device: DeviceOption = None,
    twin: Annotated[
        Literal["laptop", "card", "phone"] | None,
        typer.Option("--twin", help="A device that was made up, not one of this machine."),
    ] = None,
    duration: Annotated[
        float, typer.Option("--duration", metavar="SECONDS", min=60, max=86400, help="For so long.")
    ] = 3600.0,
    limit: LimitOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx thermal simulate --twin laptop --plot laptop.svg
      hgx thermal simulate --device cuda:0 --limit 75 --policy hgx
      hgx thermal simulate --twin phone --policy none --json

    Let a policy look after a device, as it was fitted or made up, that has work without end: how
    hot it gets, how much is done, what the most would be, and every action with its reason.
    """
    from hgx.cli.render.console import busy
    from hgx.cli.render.thermal_plot import draw_simulated, write_plot
    from hgx.cli.render.thermal_simulate import show_simulated
    from hgx.flows.thermal_devices import chosen_device
    from hgx.flows.thermal_simulate import made_up, simulated, twin_of
    from hgx.store.home import Home

    wanted = settings(context, home, quiet=quiet)
    if twin and device:
        msg = "--twin and --device are different devices: choose one"
        raise typer.BadParameter(msg)
    chosen = (
        made_up(twin, limit) if twin else twin_of(chosen_device(Home(wanted.home), device), limit)
    )
    with busy("Simulating", quiet=wanted.quiet or as_json):
        found = simulated(chosen, policy, duration)
    if plot:
        write_plot(plot, draw_simulated(found))
    show_simulated(found, as_json=as_json, quiet=wanted.quiet)


def _activity(text: str) -> Activity:
    from hgx.thermal.activity import parse_activity

    try:
        return parse_activity(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--activity") from error
