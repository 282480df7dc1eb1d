"""Ids of peers that may have anybody's name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hgx.flows.peer_ids import FreeIds, stands_for

NAMES = st.text("ab-2", min_size=1, max_size=63)


@given(st.lists(NAMES), st.sets(NAMES))
def test_each_id_is_given_once(wanted: list[str], taken: set[str]) -> None:
    """Ids differ from each other and from those taken, are short, and stand for what was wanted."""
    free = FreeIds(taken)
    given_ids = [free.take(name) for name in wanted]
    assert len({*given_ids, *taken}) == len(given_ids) + len(taken)
    assert all(len(node_id) <= 63 for node_id in given_ids)
    assert all(stands_for(*pair) for pair in zip(given_ids, wanted, strict=True))


def test_who_stands_for_whom() -> None:
    """Only a number behind the name makes another id of it."""
    assert FreeIds({"pi", "pi-2"}).take("pi") == "pi-3"
    assert stands_for("pi-12", "pi")
    assert not stands_for("pi-x", "pi")
    assert not stands_for("raspi", "pi")
