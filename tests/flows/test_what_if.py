"""Hardware changed in thought: what people write, the changed registry, and both plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.core.catalogue import CATALOGUE
from hgx.core.evidence import lowest_rank
from hgx.core.registry import Registry
from hgx.errors import RegistryError
from hgx.flows.compared import summarise
from hgx.flows.what_if import (
    ASSUMED_BYTES_PER_S,
    ASSUMED_RTT_S,
    Addition,
    NewLink,
    Removal,
    beside_present,
    change_registry,
    parse_change,
)
from hgx.planner.solve import solve
from hgx.units import GIB
from tests.planner.made import MB, device, link, options, registry, workload

if TYPE_CHECKING:
    from hgx.flows.what_if import Change, Changed

CARD = CATALOGUE["rtx3060"]
KNOWN = registry(
    device("tower/cuda:0"),
    device("tower/cpu:0", bandwidth=2e10),
    device("phone/cpu:0", bandwidth=1e10),
    nodes=("tower", "my-laptop"),
)


def changed(*texts: str, known: Registry = KNOWN, coordinator: str | None = "tower") -> Changed:
    """Change a registry by what people write."""
    return change_registry(known, [parse_change(text) for text in texts], coordinator)


def ends(known: Registry) -> set[frozenset[str]]:
    """The pairs of nodes that have a link."""
    return {frozenset((one.source, one.target)) for one in known.links}


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("+rtx3060", Addition(CARD, None)),
        ("+RTX3060", Addition(CARD, None)),
        ("+rtx3060@tower", Addition(CARD, "tower")),
        ("-phone", Removal("phone")),
        ("-tower/cuda:0", Removal("tower/cuda:0")),
        ("link:a-b=1gbps", NewLink("a-b", 125e6, None)),
        ("link:a-b=2.5Gbps,0.5ms", NewLink("a-b", 312.5e6, 5e-4)),
        ("link:a-b=100mbps,200us", NewLink("a-b", 12.5e6, 2e-4)),
        ("link:a-b=64kbps,2s", NewLink("a-b", 8e3, 2.0)),
    ],
)
def test_what_people_write(text: str, change: Change) -> None:
    """Additions, removals and links are read, whatever the case of names and units."""
    assert parse_change(text) == change


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rtx3060", r"'rtx3060' is no change of hardware: write \+DEVICE"),
        ("+", "is no change"),
        ("-", "is no change"),
        ("link:a-b=1", "is no change"),
        ("link:a-b=0gbps", "is no change"),
        ("link:a-b=1gbps,5", "is no change"),
        ("+rtx306", "has no 'rtx306': did you mean rtx3060"),
        ("+rtx3061", "has no 'rtx3061': did you mean rtx3060"),
        ("+m4pro", "did you mean m4pro-24gb, m4pro-48gb or m4pro-64gb?"),
        ("+quantum", "has no 'quantum': --what-if list shows what it has"),
        ("+pi5-8gb@tower", r"Raspberry Pi 5 is a machine of its own: write \+pi5-8gb, without"),
    ],
)
def test_what_is_no_change(text: str, said: str) -> None:
    """What cannot be read says what one writes, and names devices that are nearly called so."""
    with pytest.raises(ValueError, match=said):
        parse_change(text)


def test_no_change() -> None:
    """Without changes the registry is the same one."""
    assert change_registry(KNOWN, (), "tower") == (KNOWN, ())


def test_a_card_in_a_machine_of_its_own() -> None:
    """It has a node of its name, its vendor's figures, and an assumed link, which is said."""
    known, notes = changed("+rtx3060")
    assert [node.id for node in known.nodes][-1] == "rtx3060"
    card = known.devices[-1]
    assert (card.id, card.node, card.backend) == ("rtx3060/cuda:0", "rtx3060", "cuda")
    assert card.memory_total_bytes == 12 * GIB
    assert card.memory_bandwidth_bytes_per_s == 360e9
    assert card.compute_flops_per_s == 25.5e12
    assert lowest_rank(card) == "vendor"
    assert known.links[-1] == link("tower", "rtx3060", ASSUMED_RTT_S, ASSUMED_BYTES_PER_S)
    assert len(known.links) == len(KNOWN.links) + 1
    assert notes[0] == "the link of rtx3060 with tower is assumed: 125 MB/s, 500 µs round trip"
    assert notes[1].startswith("rtx3060/cuda:0 is NVIDIA GeForce RTX 3060 by its vendor's figures")
    assert CARD.source in notes[1]


def test_whoever_coordinates_has_a_link_to_what_is_added() -> None:
    """Where it is open who coordinates, a new node has a link to every other one."""
    for coordinator in (None, "elsewhere"):
        known, _ = changed("+rtx3060", coordinator=coordinator)
        assert ends(known) - ends(KNOWN) == {
            frozenset((node, "rtx3060")) for node in ("tower", "my-laptop", "phone")
        }
    alone, notes = changed("+rtx3060", known=Registry(), coordinator=None)
    assert not alone.links
    assert len(notes) == 1


def test_the_same_twice() -> None:
    """Two of a kind are two devices, on two nodes or on one."""
    known, _ = changed("+rtx3060", "+rtx3060", "+rtx3060@tower", "+rtx3060@tower")
    assert [one.id for one in known.devices][-4:] == [
        "rtx3060/cuda:0",
        "rtx3060-2/cuda:0",
        "tower/cuda:1",
        "tower/cuda:2",
    ]
    Registry.model_validate(dict(known))  # what hgx makes in thought is consistent too


def test_a_whole_machine() -> None:
    """Its memory is one, a part of which its system takes, and what is assumed of it is said."""
    known, notes = changed("+m4pro-24gb", "+pi5-8gb")
    mac, pi = known.devices[-2:]
    assert (mac.id, mac.unified_memory, mac.memory_free_bytes) == (
        *("m4pro-24gb/metal:0", True),
        18 * GIB,
    )
    assert (pi.id, pi.unified_memory) == ("pi5-8gb/cpu:0", None)
    assert [node.ram_total_bytes for node in known.nodes[-2:]] == [24 * GIB, 8 * GIB]
    assert (lowest_rank(mac), lowest_rank(pi)) == ("default", "vendor")
    said = [note for note in notes if "arithmetic, which is assumed" in note]
    assert [note.partition(" ")[0] for note in said] == [mac.id]


def test_removals() -> None:
    """A node goes with all that belongs to it, a device alone, and the coordinator never."""
    known, notes = changed("-phone")
    assert [node.id for node in known.nodes] == ["tower", "my-laptop"]
    assert ends(known) == {frozenset(("tower", "my-laptop"))}
    assert [one.id for one in known.devices] == ["tower/cuda:0", "tower/cpu:0"]
    assert not notes
    known, notes = changed("-tower/cuda:0")
    assert [one.id for one in known.devices] == ["tower/cpu:0", "phone/cpu:0"]
    assert (known.nodes, known.links, notes) == (KNOWN.nodes, KNOWN.links, ())
    known, notes = changed("-tower")
    assert [one.id for one in known.devices] == ["phone/cpu:0"]
    assert (known.nodes, known.links) == (KNOWN.nodes, KNOWN.links)
    assert notes == ("tower coordinates, so it stays, without its devices",)


def test_a_card_takes_the_place_of_another() -> None:
    """Whatever the order they are written in, what is removed makes room first."""
    known, _ = changed("+rtx3060@tower", "-tower/cuda:0")
    assert [one.id for one in known.devices] == ["tower/cpu:0", "phone/cpu:0", "tower/cuda:0"]
    assert known.devices[-1].name == CARD.product


def test_links() -> None:
    """A link has another rate in both directions; its round trip stays unless it is given."""
    both = KNOWN.model_copy(
        update={"links": (link("tower", "phone", 2e-3), link("phone", "tower", 4e-3))}
    )
    known, notes = changed("link:phone-tower=1gbps", known=both)
    assert known.links == (link("phone", "tower", 3e-3, 125e6),)
    assert not notes
    known, _ = changed("link:phone-tower=1gbps,1ms", known=both)
    assert known.links == (link("phone", "tower", 1e-3, 125e6),)


def test_a_link_that_is_not_there_yet() -> None:
    """Its round trip is assumed where it is not given; it may lead to what is added."""
    bare = KNOWN.model_copy(update={"links": ()})
    known, notes = changed("link:tower-my-laptop=1gbps", known=bare)
    assert known.links == (link("tower", "my-laptop", ASSUMED_RTT_S, 125e6),)
    assert notes == ("the round trip between tower and my-laptop is assumed: 500 µs",)
    known, _ = changed("link:tower-rtx3060=10gbps,50us", "+rtx3060")
    assert known.links[-1] == link("tower", "rtx3060", 5e-5, 1.25e9)
    assert len(known.links) == len(KNOWN.links) + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-phome", "no node or device 'phome': did you mean phone?"),
        ("-tower/cuda:1", r"no node or device 'tower/cuda:1': did you mean tower/cuda:0"),
        ("-x", "no node or device 'x': there are: my-laptop, phone, phone/cpu:0, tower, "),
        ("+rtx3060@towr", "no node 'towr': did you mean tower?"),
        ("link:tower-phon=1gbps", "no node 'phon': did you mean phone?"),
        ("link:towr-my-laptop=1gbps", "no node 'towr': did you mean tower?"),
        (
            "link:tower=1gbps",
            "link:tower names no two nodes: .* there are: tower, my-laptop, phone",
        ),
        ("link:tower-tower=1gbps", "names no two nodes"),
    ],
)
def test_names_that_nothing_has(text: str, said: str) -> None:
    """What the registry does not have is named, with what is nearly called so, or what there is."""
    with pytest.raises(RegistryError, match=said):
        changed(text)


def test_a_link_with_two_meanings() -> None:
    """Hyphens in names may leave it open which nodes are meant."""
    known = registry(*(device(f"{name}/cpu:0") for name in ("a", "b-c", "a-b", "c")))
    with pytest.raises(RegistryError, match=r"link:a-b-c may mean a and b-c or a-b and c: rename"):
        changed("link:a-b-c=1gbps", known=known)


def test_plans_side_by_side() -> None:
    """The changed plan has the present one's figures, their ratios, and what was assumed."""
    model = workload((500 * MB,) * 4)
    small = registry(device("tower/cpu:0", 4000 * MB, 2e10))
    asked = options(coordinator="tower")
    other = changed("+rtx3060@tower", known=small)
    present, better = solve(small, model, asked), solve(other.registry, model, asked)
    plan = beside_present(present, better, ["+rtx3060@tower"], other.notes)
    assert plan.changes == ("+rtx3060@tower",)
    assert plan.stages == better.stages
    assert plan.baseline == summarise(present)
    assert [*plan.baseline.stages] == ["tower/cpu:0"]
    assert plan.ratio
    assert present.predicted
    assert better.predicted
    ratio = better.predicted.tokens_per_s / present.predicted.tokens_per_s
    assert plan.ratio.tokens_per_s == ratio > 5
    assert plan.ratio.tpot == pytest.approx(1 / ratio)
    assert plan.why == (*better.why, *other.notes)
    assert "not measured: the rates of tower/cuda:0 are vendor figures" in plan.why


def test_what_did_not_fit_before() -> None:
    """Where there was no plan, there is nothing to divide by, and the rest is said all the same."""
    model = workload((500 * MB,) * 4)
    small = registry(device("tower/cpu:0", 1000 * MB))
    asked = options(coordinator="tower")
    other = changed("+rtx3060@tower", known=small)
    present, better = solve(small, model, asked), solve(other.registry, model, asked)
    plan = beside_present(present, better, ["+rtx3060@tower"], other.notes)
    assert (plan.baseline.status, plan.status) == ("infeasible", "optimal")
    assert plan.ratio is None


def test_what_is_added_never_makes_it_slower() -> None:
    """No card of the catalogue makes the best plan worse, wherever it is put."""
    model = workload((300 * MB,) * 4)
    asked = options(coordinator="tower")
    before = solve(KNOWN, model, asked)
    assert before.bound
    for offer in CATALOGUE.values():
        for place in ("", "" if offer.whole else "@my-laptop"):
            known = changed(f"+{offer.name}{place}").registry
            after = solve(known, model, asked)
            assert after.bound
            assert after.bound.value <= before.bound.value * 1.001
