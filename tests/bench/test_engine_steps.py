"""Which models are run."""

from __future__ import annotations

import pytest

from hgx.bench.engine_steps import TOKENS, Step, Target, plan_steps
from hgx.engine.synthetic import TYPES, Shape, block_bytes, model_bytes
from hgx.units import GIB, MIB

CPU = Target("box/cpu:0", None, 2, 20e9, 2e11, 8 * GIB)
TYPES_ASKED = ("Q8_0", "Q4_K")


def wide(target: Target, kind: str = "Q8_0") -> Step:
    """The step of a type."""
    return next(step for step in plan_steps(target, [kind], worker=False) if step.name == kind)


def test_what_is_run() -> None:
    """Behind an rpc server go the bare models and the types, but not the narrow ones."""
    steps = plan_steps(CPU, TYPES_ASKED, worker=True)
    here = [step.name for step in steps if not step.worker]
    there = [step.name for step in steps if step.worker]
    assert here == ["few", "many", "Q8_0", "Q4_K", "narrow", "deep"]
    assert there == ["few", "many", "Q8_0", "Q4_K"]
    assert len({(step.name, step.worker) for step in steps}) == len(steps)
    assert not any(step.worker for step in plan_steps(CPU, TYPES_ASKED, worker=False))


def test_only_one_thing_differs() -> None:
    """Few and many differ in blocks, narrow and deep in context."""
    steps = {step.name: step for step in plan_steps(CPU, TYPES_ASKED, worker=False)}
    few, many = steps["few"], steps["many"]
    assert few.shape.n_block < many.shape.n_block
    assert many._replace(name="few", shape=few.shape) == few
    assert steps["deep"]._replace(name="narrow", depth=0) == steps["narrow"]
    assert steps["deep"].depth > 0
    assert steps["narrow"].prompt == steps["Q4_K"].prompt == TOKENS


def test_operations() -> None:
    """Two per weight and token, and four per element of the hidden state and token of context."""
    step = Step("x", False, Shape(1, 256, 512, 4, 2), "Q4_K", prompt=10)
    weights = 2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512
    assert step.block_flops == 2 * weights * 10
    assert step.attention_flops == 4 * 256


@pytest.mark.parametrize("kind", TYPES)
def test_caches_do_not_hold_it(kind: str) -> None:
    """A wide model is larger than caches are, whatever its type, and no larger than need be."""
    one = wide(CPU._replace(flops_per_s=1e13), kind)
    size = one.shape.n_block * block_bytes(one.shape, kind)
    assert size >= 192 * MIB
    assert size - block_bytes(one.shape, kind) < 200 * MIB


def test_a_fast_card_gets_a_large_model() -> None:
    """It is sized by what the card reads, up to a limit and a third of its memory."""
    card = Target("box/cuda:0", "CUDA0", 8, 1e12, 1e14, 80 * GIB)
    assert 1.9 * GIB < model_bytes(wide(card).shape, "Q8_0") < 2.1 * GIB
    assert model_bytes(wide(card._replace(room_bytes=3 * GIB)).shape, "Q8_0") < 1.1 * GIB
    deep = plan_steps(card, ["Q8_0"], worker=False)[-1]
    assert deep.depth > plan_steps(CPU, ["Q8_0"], worker=False)[-1].depth


def test_a_slow_device_gets_a_small_model() -> None:
    """A prompt must not take minutes; one block is the least."""
    assert wide(CPU._replace(flops_per_s=6e10)).shape.n_block == 2
    assert wide(CPU._replace(flops_per_s=1e9)).shape.n_block == 1
    assert wide(CPU._replace(room_bytes=0)).shape.n_block == 1
