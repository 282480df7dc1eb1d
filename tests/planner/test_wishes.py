"""Names that a user gives become devices."""

from __future__ import annotations

import pytest

from hgx.core.options import PlanOptions
from hgx.errors import RegistryError
from hgx.planner.wishes import Wishes, read_wishes
from tests.planner.made import device, registry

DEVICES = registry(
    device("b/cuda:0"), device("b/cpu:0"), device("c/cuda:0"), device("c/cuda:1"), nodes=("a",)
)


def ids(*names: str) -> frozenset[str]:
    """Device ids."""
    return frozenset(names)


@pytest.mark.parametrize(
    ("asked", "wishes"),
    [
        (PlanOptions(), Wishes(ids(), ())),
        (PlanOptions(exclude=("b/cpu:0",)), Wishes(ids("b/cpu:0"), ())),
        (PlanOptions(exclude=("c",)), Wishes(ids("c/cuda:0", "c/cuda:1"), ())),
        (PlanOptions(exclude=("a",)), Wishes(ids(), ())),
        (PlanOptions(only=("b",)), Wishes(ids("c/cuda:0", "c/cuda:1"), ())),
        (
            PlanOptions(only=("b", "c/cuda:1"), exclude=("b/cpu:0",)),
            Wishes(ids("b/cpu:0", "c/cuda:0"), ()),
        ),
        (PlanOptions(require=("b/cpu:0",)), Wishes(ids(), (ids("b/cpu:0"),))),
        (
            PlanOptions(require=("c", "c", "b/cuda:0"), exclude=("c/cuda:0",)),
            Wishes(ids("c/cuda:0"), (ids("c/cuda:1"), ids("b/cuda:0"))),
        ),
    ],
)
def test_names_of_devices_and_nodes_are_looked_up(asked: PlanOptions, wishes: Wishes) -> None:
    """A node is its devices, what is not among the only ones is refused, no wish is twice."""
    assert read_wishes(DEVICES, asked) == wishes


@pytest.mark.parametrize("option", ["exclude", "only", "require"])
def test_a_name_of_nothing_is_an_error_that_lists_what_there_is(option: str) -> None:
    """A misspelt name is not passed over."""
    asked = PlanOptions.model_validate({option: ("b/cuda:7",)})
    with pytest.raises(RegistryError, match=r"'b/cuda:7'.*: a, b, b/cpu:0, b/cuda:0, c,"):
        read_wishes(DEVICES, asked)


def test_without_devices_there_are_none_to_name() -> None:
    """An empty registry says so."""
    with pytest.raises(RegistryError, match="there are: none"):
        read_wishes(registry(), PlanOptions(exclude=("b",)))


@pytest.mark.parametrize(
    "asked",
    [
        PlanOptions(require=("c",), exclude=("c",)),
        PlanOptions(require=("c/cuda:1",), only=("b", "c/cuda:0")),
        PlanOptions(require=("a",)),
    ],
)
def test_what_is_required_cannot_be_left_out(asked: PlanOptions) -> None:
    """What nobody may fulfil is an error that names it."""
    with pytest.raises(RegistryError, match=f"{asked.require[0]} is required"):
        read_wishes(DEVICES, asked)
