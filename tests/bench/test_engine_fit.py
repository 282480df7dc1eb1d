"""What follows from times: an engine that takes exactly what the planner reckons with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from hgx.bench.engine_fit import Fitted, Seen, fit
from hgx.bench.engine_steps import Step, Target, plan_steps
from hgx.engine.synthetic import block_bytes, head_bytes
from hgx.planner.cost import LOOPBACK_RTT_S
from hgx.units import GIB

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPES = ("Q8_0", "Q4_K")
STEPS = plan_steps(Target("box/cpu:0", None, 2, 20e9, 2e11, 8 * GIB), TYPES, worker=True)


class Costs(NamedTuple):
    """What runs cost on an invented device, in seconds and per second.

    Attributes:
        decode: Bytes per second by type.
        worker_decode: The same behind an rpc server.
    """

    head_s: float = 5e-5
    layer_s: float = 2e-5
    worker_layer_s: float = 3e-5
    prefill_layer_s: float = 4e-3
    stage_s: float = 4e-4
    decode: Mapping[str, float] = {"Q4_0": 1e15, "Q8_0": 20e9, "Q4_K": 30e9}
    worker_decode: Mapping[str, float] = {"Q4_0": 1e15, "Q8_0": 19e9, "Q4_K": 20e9}
    prefill: float = 3e11
    decode_attention: float = 2.5e10
    prefill_attention: float = 8e10

    def seen(self, step: Step) -> Seen:
        """Take exactly what a step takes, four times."""
        turn_s = self.stage_s + LOOPBACK_RTT_S if step.worker else 0.0
        layer_s = self.worker_layer_s if step.worker else self.layer_s
        rate = (self.worker_decode if step.worker else self.decode)[step.kind]
        size = step.shape.n_block * block_bytes(step.shape, step.kind)
        head = head_bytes(step.shape, step.kind)
        run_s = self.head_s + turn_s + head / rate
        back = step.attention_flops * step.depth
        block_s = layer_s + back / self.decode_attention
        token = run_s + step.shape.n_block * block_s + size / rate
        context = step.depth + step.prompt / 2
        looking_s = step.prompt * step.attention_flops * context / self.prefill_attention
        block_s = self.prefill_layer_s + step.block_flops / self.prefill + looking_s
        prompt = run_s + step.shape.n_block * block_s
        return Seen(step, (prompt,) * 4 if step.prompt else (), (token,) * 4)


def found(costs: Costs, *left_out: tuple[str, bool]) -> dict[str, Fitted]:
    """Work out all numbers, some steps left out."""
    seen = {(step.name, step.worker): costs.seen(step) for step in STEPS}
    return {one.name: one for one in fit({k: v for k, v in seen.items() if k not in left_out})}


def test_all_costs_come_out() -> None:
    """Each is what the device really takes, with a sample for every repetition."""
    costs = Costs()
    numbers = found(costs)
    wanted = {
        "engine_decode_layer": costs.layer_s,
        "engine_prefill_layer": costs.prefill_layer_s,
        "engine_head": costs.head_s,
        "engine_stage": costs.stage_s,
        "engine_decode_attention": costs.decode_attention,
        "engine_prefill_attention": costs.prefill_attention,
        "engine_decode_Q8_0": 20e9,
        "engine_decode_Q4_K": 30e9,
        "engine_prefill_Q8_0": costs.prefill,
        "engine_prefill_Q4_K": costs.prefill,
        "engine_worker_decode_layer": costs.worker_layer_s,
        "engine_worker_decode_Q8_0": 19e9,
        "engine_worker_decode_Q4_K": 20e9,
        "engine_worker_prefill_Q8_0": costs.prefill,
        "engine_worker_prefill_Q4_K": costs.prefill,
    }
    assert numbers.keys() == wanted.keys()
    assert {name: one.median for name, one in numbers.items()} == pytest.approx(wanted, rel=0.01)
    assert all(len(one.samples) == 4 for one in numbers.values())
    assert numbers["engine_decode_layer"].unit == "s"
    assert numbers["engine_decode_Q4_K"].unit == "bytes_per_s"
    assert numbers["engine_prefill_Q4_K"].unit == "flops_per_s"


def test_what_is_lost_in_noise_is_nothing() -> None:
    """A cost that comes out below zero is the least there is; a context may cost nothing."""
    numbers = found(Costs(head_s=-1e-5, decode_attention=1e18, prefill_attention=1e18))
    assert numbers["engine_head"].median == 1e-9
    assert not [name for name in numbers if "attention" in name]


def test_steps_that_failed() -> None:
    """What does not follow without them is left out; the rest is there."""
    for name in ("few", "many"):
        assert not found(Costs(), (name, False))
    without = found(Costs(), ("deep", False))
    assert "engine_prefill_Q4_K" in without
    assert "engine_decode_attention" not in without
    assert list(found(Costs(), ("narrow", False))) == ["engine_decode_layer", "engine_head"]
    assert list(found(Costs(), ("Q8_0", False)))[-2:] == [
        "engine_decode_attention",
        "engine_prefill_attention",
    ]
    assert "engine_decode_Q4_K" not in found(Costs(), ("Q4_K", False))
    alone = found(Costs(), ("few", True))
    assert "engine_decode_Q4_K" in alone
    assert not [name for name in alone if "worker" in name or "stage" in name]
