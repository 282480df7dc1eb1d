"""Two homes that are paired over loopback, and what is in them afterwards."""

from __future__ import annotations

import queue
import shutil
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hgx.core.registry import Device, Node, Registry
from hgx.errors import PeerError, RegistryError, Unavailable
from hgx.flows import pair
from hgx.flows.pair import Offered, OfferWish, join_pairing, offer_pairing
from hgx.net.identity import own_identity
from hgx.net.pairing_code import PairingCode
from hgx.net.words import WORDS
from hgx.process.background import Background
from hgx.store.home import Home
from hgx.store.registry_file import load_registry, update_registry
from hgx.store.trust import trusted, trusted_peers

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.net.pairing import Partner
    from hgx.store.trust import TrustedPeer

LOCAL = OfferWish(host="127.0.0.1", port=0, lasts_s=20)


class Seen:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.codes: queue.Queue[Offered] = queue.Queue()
        self.partners: list[Partner] = []
        self.replaced: list[str] = []
        self.not_found: list[str] = []

    def offered(self, offered: Offered) -> None:
        """Keep the code."""
        self.codes.put(offered)

    def paired(self, partner: Partner, replaced: tuple[TrustedPeer, ...]) -> None:
        """Keep who it is."""
        self.partners.append(partner)
        self.replaced.extend(peer.fingerprint for peer in replaced)

    def not_found_yet(self, partner: Partner) -> None:
        """Keep who is not in the registry."""
        self.not_found.append(partner.name)


class Offering(NamedTuple):
    """A machine that shows a code."""

    seen: Seen
    outcome: Background[None]
    offered: Offered

    @property
    def address(self) -> str:
        """Where."""
        return str(self.offered.targets[0])


def offering(home: Home, wish: OfferWish = LOCAL) -> Offering:
    """Show a code and go on."""
    seen = Seen()
    outcome = Background(lambda: offer_pairing(home, "tower", wish, seen))
    return Offering(seen, outcome, seen.codes.get(timeout=20))


def paired(tower: Home, laptop: Home) -> tuple[Seen, Seen]:
    """Pair two homes; return what the tower and the laptop were told."""
    shown, seen = offering(tower), Seen()
    join_pairing(laptop, "laptop", shown.offered.code, shown.address, seen)
    shown.outcome.result()
    return shown.seen, seen


def another_code(code: PairingCode) -> PairingCode:
    """Return a code with another word."""
    return PairingCode(
        code.nameplate, (code.words[0], next(w for w in WORDS if w not in code.words))
    )


def known(home: Home, name: str, fingerprint: str) -> None:
    """Write a peer with a device into a registry, as a discover that found it does."""
    home.create()
    device = Device(
        id=f"{name}/cpu:0",
        node=name,
        backend="cpu",
        memory_total_bytes=2**30,
        memory_bandwidth_bytes_per_s=1e9,
        compute_flops_per_s=1e9,
        paired=False,
    )
    node = Node(id=name, fingerprint=fingerprint, paired=False)
    update_registry(home.registry, lambda _: Registry(nodes=(node,), devices=(device,)))


@pytest.fixture
def tower(tmp_path: Path) -> Home:
    """The home of one machine."""
    return Home(tmp_path / "tower")


@pytest.fixture
def laptop(tmp_path: Path) -> Home:
    """The home of the other."""
    return Home(tmp_path / "laptop")


def test_both_trust_each_other(tower: Home, laptop: Home) -> None:
    """Each has the other's name and certificate, and both were shown the same words."""
    at_tower, at_laptop = paired(tower, laptop)
    (of_laptop,), (of_tower,) = trusted_peers(tower), trusted_peers(laptop)
    assert (of_laptop.name, of_tower.name) == ("laptop", "tower")
    assert of_laptop.fingerprint == own_identity(laptop).fingerprint
    assert of_tower.fingerprint == own_identity(tower).fingerprint
    assert of_laptop.certificate
    assert of_laptop.certificate in own_identity(laptop).path.read_text()
    assert of_tower.paired_at
    assert at_tower.partners[0].words == at_laptop.partners[0].words
    assert (at_tower.replaced, at_laptop.replaced) == ([], [])
    assert (at_tower.not_found, at_laptop.not_found) == (["laptop"], ["tower"])


def test_plans_use_it_at_once(tower: Home, laptop: Home) -> None:
    """What the registry already has of the other machine may be used from then on."""
    known(tower, "notebook", own_identity(laptop).fingerprint)
    assert load_registry(tower.registry).usable().devices == ()
    at_tower, _ = paired(tower, laptop)
    registry = load_registry(tower.registry)
    assert registry.nodes[0].paired is True
    assert [device.id for device in registry.usable().devices] == ["notebook/cpu:0"]
    assert at_tower.not_found == []


def test_wrong_code(tower: Home, laptop: Home) -> None:
    """A wrong code leaves both homes as they were."""
    shown = offering(tower)
    with pytest.raises(PeerError, match="has another code"):
        join_pairing(laptop, None, another_code(shown.offered.code), shown.address, Seen())
    with pytest.raises(PeerError, match="without the code"):
        shown.outcome.result()
    assert not trusted(tower) | trusted(laptop)
    assert shown.seen.partners == []


def test_in_vain(tower: Home) -> None:
    """A code that nobody types ends with an error."""
    with pytest.raises(PeerError, match="nobody used the code in time"):
        offer_pairing(tower, None, LOCAL._replace(lasts_s=0.05), Seen())
    assert not trusted(tower)


def test_changed_certificate(tower: Home, laptop: Home) -> None:
    """A machine with a new certificate takes the place of the old, once it has proven the code."""
    paired(tower, laptop)
    before = own_identity(laptop).fingerprint
    shutil.rmtree(own_identity(laptop).path.parent)
    after = own_identity(laptop).fingerprint
    known(tower, "laptop", before)
    shown = offering(tower)
    with pytest.raises(PeerError, match="has another code"):
        join_pairing(laptop, "laptop", another_code(shown.offered.code), shown.address, Seen())
    with pytest.raises(PeerError):
        shown.outcome.result()
    assert trusted(tower) == {before}
    at_tower, at_laptop = paired(tower, laptop)
    assert trusted(tower) == {after}
    assert (at_tower.replaced, at_laptop.replaced) == ([before], [])
    # What the registry has is the old one's.
    assert load_registry(tower.registry).nodes[0].paired is False
    assert at_tower.not_found == ["laptop"]


def test_paired_again(tower: Home, laptop: Home) -> None:
    """Machines that are paired already may be paired again: nothing is replaced."""
    paired(tower, laptop)
    at_tower, at_laptop = paired(tower, laptop)
    assert (at_tower.replaced, at_laptop.replaced) == ([], [])
    assert len(trusted_peers(tower)) == len(trusted_peers(laptop)) == 1


def test_damaged_registry(tower: Home, laptop: Home) -> None:
    """Where the registry is damaged that is an error, and they are paired all the same."""
    tower.create()
    tower.registry.write_text("{")
    shown, seen = offering(tower), Seen()
    join_pairing(laptop, "laptop", shown.offered.code, shown.address, seen)
    with pytest.raises(RegistryError):
        shown.outcome.result()
    assert trusted(tower) == {own_identity(laptop).fingerprint}
    assert [partner.name for partner in shown.seen.partners] == ["laptop"]


def test_names_by_default(tower: Home, laptop: Home) -> None:
    """Without a name a machine is called by its node id, as an announced node is."""
    laptop.create()
    laptop.node_file.write_text('{"id": "My.Laptop"}')
    shown = offering(tower)
    join_pairing(laptop, None, shown.offered.code, shown.address, Seen())
    shown.outcome.result()
    assert trusted_peers(tower)[0].name == "my"


def test_default_port_is_taken(tower: Home, laptop: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the default port is taken a free one does; one that was asked for must be free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(pair, "DEFAULT_PORT", port)
        with pytest.raises(Unavailable, match="it is in use"):
            offer_pairing(tower, None, LOCAL._replace(port=port), Seen())
        shown = offering(tower, LOCAL._replace(port=None))
        assert shown.offered.targets[0].port != port
        join_pairing(laptop, None, shown.offered.code, shown.address, Seen())
        shown.outcome.result()


def test_default_port(tower: Home, laptop: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default port needs not be typed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(pair, "DEFAULT_PORT", port)
    shown = offering(tower, LOCAL._replace(port=None))
    assert shown.address == f"127.0.0.1:{port}"
    join_pairing(laptop, None, shown.offered.code, "127.0.0.1", Seen())
    shown.outcome.result()


def test_loopback_is_not_announced(tower: Home) -> None:
    """At an address that is not for others the code is not announced, and says so."""
    shown = offering(tower, LOCAL._replace(lasts_s=0.05))
    assert shown.offered.unannounced == "127.0.0.1 is not for other machines"
    with pytest.raises(PeerError):
        shown.outcome.result()


def test_no_address(laptop: Home) -> None:
    """What is no address of a machine is refused before anything else."""
    with pytest.raises(PeerError, match="is no address of a peer"):
        join_pairing(laptop, None, PairingCode(7, ("velvet", "otter")), "a b", Seen())
    assert not laptop.path.exists()
