"""A plan beside what llama.cpp says: figures as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.core.plan import Host, HostMemory, StageMemory
from hgx.core.verified import Share, VerifiedDevice
from hgx.engine.fit_params import Fitted
from hgx.engine.placement import place_layers
from hgx.engine.readback import Allocated
from hgx.errors import EngineError
from hgx.flows.plan_difference import check_capacity, differences, side_by_side
from hgx.units import GIB, MIB
from tests.engine.plans import plan_of

if TYPE_CHECKING:
    from hgx.core.plan import Plan

NAMES = {"n/cpu:0": "CPU", "n/cuda:0": "RPC0"}


def planned(*, on_host: bool) -> Plan:
    """A plan of two blocks, one of them on the host, or both on another machine's GPU."""
    plan = plan_of(("cpu:0", 1), ("cuda:0", 1)) if on_host else plan_of(("cuda:0", 2))
    memory = StageMemory(
        weights_bytes=100, kv_bytes=20, compute_bytes=3, total_bytes=123, capacity_bytes=1000
    )
    host = HostMemory(
        weights_bytes=7, kv_bytes=0, compute_bytes=5, total_bytes=12, capacity_bytes=None
    )
    stages = tuple(stage.model_copy(update={"memory": memory}) for stage in plan.stages)
    return plan.model_copy(update={"stages": stages, "host": Host(node="n", memory=host)})


def rows(plan: Plan, fitted: Fitted) -> tuple[VerifiedDevice, ...]:
    """Both sides of a plan on ``n/cpu:0`` and ``n/cuda:0``."""
    return side_by_side(plan, place_layers(plan, NAMES), fitted)


def test_the_host_holds_its_stage_and_its_buffers() -> None:
    """llama.cpp has one process for both, so the plan's two are added up there."""
    fitted = Fitted(
        {0: "CPU", 1: "RPC0", 2: "RPC0"}, {"CPU": Allocated(1, 2, 3), "RPC0": Allocated(4, 5, 6)}
    )
    host, worker = rows(planned(on_host=True), fitted)
    assert (host.device, host.engine, host.stand_in) == ("n/cpu:0", "CPU", False)
    assert host.planned == share(0, 0, 107, 20, 8)
    assert host.llama_cpp == share(0, 0, 1, 2, 3)
    assert host.capacity_bytes is None
    assert (worker.device, worker.engine, worker.stand_in) == ("n/cuda:0", "RPC0", True)
    assert worker.planned == share(1, 2, 100, 20, 3)
    assert worker.llama_cpp == share(1, 2, 4, 5, 6)
    assert worker.capacity_bytes == 1000


def test_a_host_without_layers() -> None:
    """It comes first all the same; what llama.cpp does not say of layers is not invented."""
    host, worker = rows(planned(on_host=False), Fitted({}, {"RPC0": Allocated(4, 5, 6)}))
    assert host.device is None
    assert host.planned == share(None, None, 7, 0, 5)
    assert host.llama_cpp == share(None, None, 0, 0, 0)
    assert worker.llama_cpp == share(None, None, 4, 5, 6)


def share(first: int | None, last: int | None, weights: int, kv: int, compute: int) -> Share:
    """A share of some layers, in bytes."""
    return Share(
        first_layer=first,
        last_layer=last,
        weights_bytes=weights,
        kv_bytes=kv,
        compute_bytes=compute,
    )


def device(before: tuple[int, int, int], after: tuple[int, int, int]) -> VerifiedDevice:
    """A worker with weights, KV and compute as planned and as llama.cpp says, in MiB."""
    one, other = (share(0, 1, *(MIB * size for size in sizes)) for sizes in (before, after))
    return VerifiedDevice(
        device="m/cuda:0",
        engine="RPC0",
        stand_in=True,
        planned=one,
        llama_cpp=other,
        capacity_bytes=GIB,
    )


@pytest.mark.parametrize(
    ("before", "after", "warnings"),
    [
        ((10, 10, 100), (9, 11, 116), 0),
        ((10, 10, 100), (8, 12, 117), 3),
        ((1000, 1000, 1000), (995, 1005, 950), 0),
        ((1000, 1000, 1000), (994, 1006, 949), 3),
    ],
    ids=["rounding", "beyond it", "in proportion", "beyond that"],
)
def test_how_far_apart_they_may_be(
    before: tuple[int, int, int], after: tuple[int, int, int], warnings: int
) -> None:
    """Weights and KV by a MiB or 0.5%, compute by 16 MiB or 5%, in either direction."""
    assert len(differences([device(before, after)])) == warnings


def test_what_is_said_of_it() -> None:
    """What, where, by how much and in which direction."""
    assert differences([device((10, 10, 100), (40, 7, 50))]) == (
        "llama.cpp needs 30 MiB more than planned for weights on m/cuda:0",
        "llama.cpp needs 3 MiB less than planned for KV on m/cuda:0",
        "llama.cpp needs 50 MiB less than planned for compute on m/cuda:0",
    )


def test_more_than_there_is() -> None:
    """What does not fit is an error that says what is needed, planned and there."""
    check_capacity([device((1, 1, 1), (1000, 20, 4))])
    with pytest.raises(EngineError) as raised:
        check_capacity([device((1000, 9, 0), (1000, 20, 5))])
    assert raised.value.message == (
        "llama.cpp needs 1 GiB on m/cuda:0, where 1 GiB may be taken; the plan counts 0.99 GiB: "
        "plan with a larger --headroom"
    )


def test_where_nothing_is_known_of_the_memory() -> None:
    """A host of unknown size is not judged."""
    plan, fitted = planned(on_host=False), Fitted({}, {"CPU": Allocated(GIB, GIB, GIB)})
    check_capacity(rows(plan, fitted)[:1])
