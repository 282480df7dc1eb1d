"""What ``hgx pair`` shows: the code, and who is trusted then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hgx.cli.render.console import plain, stderr, stdout

if TYPE_CHECKING:
    from hgx.flows.pair import Offered
    from hgx.net.pairing import Partner
    from hgx.store.trust import TrustedPeer


class PairScreen:
    """Results on stdout, all else on stderr (see ``hgx.flows.pair.PairReporter``).

    Args:
        as_json: Whether results are JSON, one object a line.
        quiet: Whether to leave out all but the results.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json = as_json
        self._quiet = quiet

    def offered(self, offered: Offered) -> None:
        """Print the code on stdout, and around it what to type elsewhere."""
        places = [str(target) for target in offered.targets]
        first = places[0] if places else "HOST:PORT"
        if self._as_json:
            self._write_json(
                code=str(offered.code),
                addresses=places,
                lasts_s=offered.lasts_s,
                unannounced=offered.unannounced,
            )
            return
        self._say(f"Within {offered.lasts_s / 60:g} minutes, on the other machine:")
        if offered.unannounced:
            self._say(f"  hgx pair {offered.code} --peer {first}")
            self._say(f"  (not announced: {offered.unannounced})", style="dim")
        else:
            self._say(f"  hgx pair {offered.code}")
            self._say(f"  (where it is not found: --peer {first})", style="dim")
        if self._quiet:
            self._write(str(offered.code))

    def paired(self, partner: Partner, replaced: tuple[TrustedPeer, ...]) -> None:
        """Print who it is and the words to compare."""
        if self._as_json:
            self._write_json(
                paired=partner.name,
                fingerprint=partner.fingerprint,
                words=partner.words,
                replaced=[peer.fingerprint for peer in replaced],
            )
            return
        self._write(f"paired with {plain(partner.name)}: {partner.words}")
        self._say("The other machine shows the same four words; if not, revoke it on both:")
        self._say(f"  hgx peers revoke {partner.fingerprint[:16]}")
        for peer in replaced:
            name, was = plain(partner.name), peer.fingerprint[:16]
            self._say(
                f"note: {name} had another certificate until now, {was}, which is not trusted any "
                "more. If that is another machine of this name, pair one again with --name.",
                style="dim",
            )

    def not_found_yet(self, partner: Partner) -> None:
        """Say how its devices become known."""
        name = plain(partner.name)
        self._say(f"To use the devices of {name}, start `hgx serve` there and run here:")
        self._say("  hgx discover")

    def _say(self, line: str, style: str | None = None) -> None:
        if not (self._quiet or self._as_json):
            stderr().print(line, style=style, soft_wrap=True)

    def _write(self, line: str) -> None:
        print(line, file=stdout().file, flush=True)

    def _write_json(self, **fields: object) -> None:
        self._write(json.dumps(fields))
