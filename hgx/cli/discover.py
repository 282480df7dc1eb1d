"""``hgx discover``: what devices this machine and its peers have."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from hgx.cli.options import HomeOption, JsonOption, QuietOption, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.cli.options import Settings
    from hgx.flows.peer_merge import FoundPeers
    from hgx.store.home import Home

app = typer.Typer(rich_markup_mode=None, add_completion=False)

RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        metavar="FILE",
        help="The registry to write. Default: registry.json in the home directory.",
    ),
]
PeerOption = Annotated[
    list[str] | None,
    typer.Option("--peer", metavar="HOST:PORT", help="Ask this node too; may be repeated."),
]
PeersOption = Annotated[
    Path | None,
    typer.Option(
        "--peers",
        metavar="FILE",
        help="Ask these nodes too, one HOST:PORT per line. Default: peers.txt in the home.",
    ),
]
WaitOption = Annotated[
    float,
    typer.Option(
        "--wait", min=0, max=60, help="Seconds to listen for other nodes; 0 asks named ones only."
    ),
]
LocalOption = Annotated[
    bool,
    typer.Option(
        "--local",
        help="Look at this machine only, and show it alone; the registry keeps other nodes.",
    ),
]
MeasureOption = Annotated[
    bool,
    typer.Option(
        "--measure/--no-measure", help="Measure devices that were never measured, briefly."
    ),
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Show a live table until Ctrl+C; with --json a line each.")
]
IntervalOption = Annotated[
    float, typer.Option("--interval", min=0.1, max=3600, help="Seconds between looks, to --watch.")
]
CountOption = Annotated[
    int | None, typer.Option("--count", min=1, help="Looks after which --watch ends.")
]
DiagnoseOption = Annotated[
    bool, typer.Option("--diagnose", help="Say which step of finding other nodes fails, and why.")
]
RecordOption = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="DIR",
        help="Write down all that this machine says, without names, serials and addresses.",
    ),
]
ReplayOption = Annotated[
    Path | None,
    typer.Option("--replay", metavar="DIR", help="Look at a recording, not at this machine."),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say of every backend why it is not there.")
]


@app.command(short_help="Find the devices of this machine and of its peers.")
def discover(
    context: typer.Context,
    *,
    registry: RegistryOption = None,
    peer: PeerOption = None,
    peers: PeersOption = None,
    wait: WaitOption = 3.0,
    local: LocalOption = False,
    measure: MeasureOption = True,
    watch: WatchOption = False,
    interval: IntervalOption = 2.0,
    count: CountOption = None,
    diagnose: DiagnoseOption = False,
    record: RecordOption = None,
    replay: ReplayOption = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx discover                               find what is here and nearby
      hgx discover --peer 192.168.1.7:9474       ask a node by its address
      hgx discover --watch                       temperature, power, memory, live
      hgx discover --diagnose                    why is my laptop not found?
      hgx discover --record DIR                  for a report, or for a test
      hgx discover --json | jq '.devices[].id'   for scripts

    Find the devices of this machine and of other machines that run `hgx serve`, and write them
    into the registry, where `hgx plan` and `hgx serve` look. What was never measured is measured
    for half a second; `hgx bench` does it properly.
    """
    _check_modes(watch=watch, diagnose=diagnose, record=record, replay=replay)
    wanted = settings(context, home, quiet=quiet)
    seek = Seek(wait, tuple(peer or ()), peers)
    if local and seek.named:
        msg = "--local looks at this machine only: leave it out, or name no peers"
        raise typer.BadParameter(msg)
    if diagnose:
        raise typer.Exit(_diagnose(wanted, seek, as_json=as_json))
    if watch:
        _watch(wanted, None if local else seek, Pace(interval, count), as_json=as_json)
    elif record:
        _record(wanted, record)
    elif replay:
        _replay(wanted, replay, as_json=as_json, verbose=verbose)
    else:
        search = Search(registry, None if local else seek, measure)
        _find(wanted, search, as_json=as_json, verbose=verbose)


class Seek(NamedTuple):
    """How to look for other nodes."""

    wait_s: float
    peers: tuple[str, ...]
    peers_file: Path | None

    @property
    def named(self) -> bool:
        """Tell whether any node was named."""
        return bool(self.peers or self.peers_file)

    def finder(self, home: Home) -> Callable[[], FoundPeers]:
        """Return what looks for other nodes, once per call."""
        from hgx.flows.peers import find_peers
        from hgx.net.identity import known_fingerprint

        return partial(
            find_peers,
            home,
            wait_s=self.wait_s,
            peers=self.peers,
            peers_file=self.peers_file,
            multicast=self.wait_s > 0,
            own_fingerprint=known_fingerprint(home),
        )


class Pace(NamedTuple):
    """How often to look, and how many times; for ever where that is null."""

    interval_s: float
    times: int | None


class Search(NamedTuple):
    """Where to write what is found, where to look, and whether to measure."""

    registry: Path | None
    seek: Seek | None
    measure: bool


def _check_modes(**modes: object) -> None:
    chosen = [f"--{name}" for name, value in modes.items() if value]
    if len(chosen) > 1:
        msg = f"{' and '.join(chosen)} are different things to do: choose one"
        raise typer.BadParameter(msg)


def _find(wanted: Settings, search: Search, *, as_json: bool, verbose: bool) -> None:
    from hgx.cli.render.discover import Screen
    from hgx.flows.discover import discover as run
    from hgx.flows.probe import quick_benchmarks
    from hgx.store.home import Home

    home = Home(wanted.home)
    screen = Screen(as_json=as_json, quiet=wanted.quiet, verbose=verbose)
    with screen.looking() as watcher:
        found = run(
            home,
            search.registry,
            measure=quick_benchmarks if search.measure else None,
            seek=search.seek.finder(home) if search.seek else None,
            watcher=watcher,
        )
    screen.found(found)
    if found.peers and found.peers.unanswered:
        raise found.peers.unanswered[0]


def _record(wanted: Settings, directory: Path) -> None:
    from hgx.cli.render.discover import Screen
    from hgx.flows.recorded import record

    screen = Screen(as_json=False, quiet=wanted.quiet, verbose=False)
    with screen.looking() as watcher:
        record(directory, watcher)
    screen.recorded(directory)


def _replay(wanted: Settings, directory: Path, *, as_json: bool, verbose: bool) -> None:
    from hgx.cli.render.discover import Screen
    from hgx.flows.recorded import replay

    screen = Screen(as_json=as_json, quiet=wanted.quiet, verbose=verbose)
    screen.replayed(replay(directory))


def _watch(wanted: Settings, seek: Seek | None, pace: Pace, *, as_json: bool) -> None:
    from hgx.cli.render.watch import show
    from hgx.flows.watch import snapshots
    from hgx.store.home import Home

    home = Home(wanted.home)
    seen = snapshots(home, pace.interval_s, pace.times, seek.finder(home) if seek else None)
    show(seen, as_json=as_json)


def _diagnose(wanted: Settings, seek: Seek, *, as_json: bool) -> int:
    from hgx.cli.render.console import busy
    from hgx.cli.render.diagnose import show_steps
    from hgx.errors import PeerError
    from hgx.flows.diagnose import diagnose, first_failure
    from hgx.net.identity import known_fingerprint
    from hgx.store.home import Home

    home = Home(wanted.home)
    with busy("Walking through the network", quiet=wanted.quiet or as_json):
        steps = diagnose(
            home,
            wait_s=seek.wait_s,
            peers=seek.peers,
            peers_file=seek.peers_file,
            own_fingerprint=known_fingerprint(home),
        )
    show_steps(steps, as_json=as_json)
    return PeerError.exit_code if first_failure(steps) else 0
