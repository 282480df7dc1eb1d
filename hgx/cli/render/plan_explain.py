"""What ``hgx plan --explain`` adds: where a token's time goes, and what would change that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hgx.cli.render.console import plain
from hgx.units import format_bytes, format_flops, format_rate, format_seconds, format_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from hgx.core.explanation import (
        Binding,
        ExplainedPlan,
        Explanation,
        Known,
        LeftOut,
        Marginal,
        Run,
        Split,
    )

NOTABLE = 0.005
"""Part of the objective below which a cause or a gain is not worth a line."""

_BINDS = {
    "bandwidth": "reading memory on {}",
    "arithmetic": "arithmetic on {}",
    "launch": "launching blocks on {}",
    "sampling": "drawing tokens, output head on {}",
    "away": "weights on disk, or experts in RAM, of {}",
    "link": "the link to {}",
}
_REASONS = {
    "unpaired": "not paired with this machine",
    "battery": "its battery does not last as long",
    "refused": "you left it out",
    "unreachable": "no link to the coordinator",
    "impossible": "no placement with it fits",
    "open": "no time to find out",
}
_RULES = {
    "memory": "in proportion to memory",
    "speed": "in proportion to bandwidth",
    "fastest_first": "fastest filled first",
    "best": "the planner's own",
}
_RANKS = {
    "engine": "measured with the engine",
    "driver": "measured",
    "link": "measured",
    "served": "learnt from requests",
    "vendor": "vendor's figure",
    "default": "assumed",
}


def print_explained(plan: ExplainedPlan, console: Console) -> None:
    """Print where a token's time goes, what binds, what would help, and what it rests on."""
    told = plan.explanation
    console.print()
    console.print(_stages(told))
    if told.links:
        console.print()
        console.print(_links(told))
    _print_lines(
        console, f"What binds, as shares of {plan.objective}:", map(_bound, _notable(told.binds))
    )
    _print_marginals(told, console)
    if told.left_out:
        _print_lines(console, "Without blocks:", map(_left_out, told.left_out))
    console.print()
    console.print(_splits(told.splits))
    console.print()
    console.print(_known(told.known))
    _print_lines(console, "Standard errors, by served requests:", [_errors(plan)])


def _print_lines(console: Console, heading: str, lines: Iterable[str]) -> None:
    console.print()
    console.print(Text(heading, style="bold"))
    for line in lines:
        console.print(Text(f"- {plain(line)}"))


def _table(words: Sequence[str], figures: Sequence[str] = (), last: str | None = None) -> Table:
    """A table whose first columns are words, then figures, and perhaps words again."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    if last is not None:
        table.add_column(last, overflow="fold")
    return table


def _stages(told: Explanation) -> Table:
    """What each device takes per token."""
    away = any(stage.token.work.away_s for stage in told.stages)
    headings = ["WEIGHTS", "KV", "ARITHMETIC", "LAUNCH", "SAMPLING", *(["AWAY"] if away else [])]
    table = _table(["A TOKEN ON"], [*headings, "TOTAL", "WEIGHTS READ", "KV READ"])
    for stage in told.stages:
        work = stage.token.work
        parts = [work.weights_s, work.kv_s, work.arithmetic_s, work.launch_s, work.sampling_s]
        parts += [work.away_s] if away else []
        table.add_row(
            Text(plain(stage.device)),
            *map(format_seconds, (*parts, work.total_s)),
            format_bytes(stage.weights_bytes),
            format_bytes(stage.kv_bytes),
        )
    return table


def _links(told: Explanation) -> Table:
    """What each link takes per token."""
    headings = ("ROUND TRIP", "MASK", "ENGINE", "HIDDEN IN", "HIDDEN OUT", "LOGITS")
    table = _table(["A TOKEN BETWEEN"], [*headings, "TOTAL", "THERE", "BACK"])
    for link in told.links:
        wire = link.token
        table.add_row(
            Text(plain(f"{link.coordinator} and {link.node}")),
            *map(format_seconds, dict(wire).values()),
            format_seconds(wire.total_s),
            format_bytes(link.traffic.there_bytes),
            format_bytes(link.traffic.back_bytes),
        )
    return table


def _notable(binds: Iterable[Binding]) -> list[Binding]:
    return [bound for bound in binds if bound.share is None or bound.share >= NOTABLE]


def _bound(bound: Binding) -> str:
    if bound.share is None:
        left = format_bytes(bound.left_bytes or 0)
        return f"the memory of {bound.subject}: {left} left, too little for one more block"
    return f"{bound.share:.1%}: {_BINDS[bound.kind].format(bound.subject)}"


def _print_marginals(told: Explanation, console: Console) -> None:
    helps = [one for one in told.marginals if one.gain >= NOTABLE]
    idle = len(told.marginals) - len(helps)
    lines = [_gain(one) for one in helps]
    if idle:
        lines.append(f"{idle} other{'s' * (idle > 1)} would bring less than {NOTABLE:.1%}")
    if told.unasked:
        lines.append(f"{told.unasked} more were not solved for want of time: see --timeout")
    if lines:
        _print_lines(console, "What would make it faster:", lines)


def _gain(one: Marginal) -> str:
    match one.kind:
        case "memory":
            what = f"{format_bytes(one.extra_bytes or 0)} more on {one.subject}"
        case "link":
            what = f"the link to {one.subject} twice as fast"
        case "bandwidth":
            what = f"twice the memory bandwidth of {one.subject}"
        case "arithmetic":
            what = f"twice the arithmetic of {one.subject}"
    least = "" if one.proven else "at least "
    return (
        f"{what}: {least}+{one.gain:.0%}, first token after "
        f"{format_seconds(one.predicted.ttft_s)}, {format_tokens(one.predicted.tokens_per_s)}"
    )


def _left_out(one: LeftOut) -> str:
    if one.longer is None:
        return f"{one.device}: {_REASONS[one.reason]}"
    if one.longer < 0:
        least = "" if one.proven else "at least "
        return f"{one.device}: with it, it would take {least}{-one.longer:.1%} less"
    most = "" if one.proven else "at most "
    return f"{one.device}: with it, it would take {most}{one.longer:.{_digits(one.longer)}%} longer"


def _splits(splits: Sequence[Split]) -> Table:
    table = _table(["OTHER SPLITS"], ["FIRST TOKEN", "RATE", "LONGER"], "BLOCKS")
    for split in splits:
        where = _runs(split.runs)
        if split.predicted is None or split.longer is None:
            cells = [
                "-",
                "-",
                "-",
                f"impossible: {split.refused}" + (f" ({where})" if where else ""),
            ]
        else:
            times = format_seconds(split.predicted.ttft_s)
            rate = format_tokens(split.predicted.tokens_per_s)
            cells = [times, rate, f"{split.longer:+.{_digits(split.longer)}%}", where]
        table.add_row(_RULES[split.rule], *cells[:-1], Text(plain(cells[-1])))
    return table


def _digits(share: float) -> int:
    """Digits behind the point of a percentage: more than twice as much needs none."""
    return 1 if abs(share) < 1 else 0


def _runs(runs: Sequence[Run]) -> str:
    return ", ".join(f"{run.device} {run.first_block}-{run.last_block}" for run in runs)


def _known(known: Sequence[Known]) -> Table:
    table = _table(["RESTS ON", ""], ["VALUE"], "KNOWN FROM")
    subject = None
    for number in known:
        # Of memory it is said when it was looked at, not who did.
        unknown = "" if number.unit == "bytes" else "of unknown origin"
        said = _RANKS[number.rank] if number.rank else unknown
        table.add_row(
            Text(plain(number.subject if number.subject != subject else "")),
            Text(plain(number.quantity)),
            _value(number),
            Text(plain("; ".join(filter(None, (said, number.note))))),
        )
        subject = number.subject
    return table


def _value(number: Known) -> str:
    match number.unit:
        case "bytes":
            return format_bytes(number.value)
        case "bytes_per_s":
            return format_rate(number.value)
        case "flops_per_s":
            return format_flops(number.value)
        case "s":
            return format_seconds(number.value)
        case "times":
            return f"{number.value:.2f} ± {number.error or 0.0:.2f} times"


def _errors(plan: ExplainedPlan) -> str:
    error, predicted = plan.explanation.error, plan.predicted
    parts: list[str] = []
    if predicted is not None and error.ttft_s is not None:
        times = f"{format_seconds(predicted.ttft_s)} ± {format_seconds(error.ttft_s)}"
        parts.append(f"first token after {times}")
    if predicted is not None and error.tokens_per_s is not None:
        rate = f"{predicted.tokens_per_s:.3g} ± {error.tokens_per_s:.2g} tokens/s"
        parts.append(rate)
    return ", ".join(parts) or "unknown: too few requests were served by these devices"
