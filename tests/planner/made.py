"""Small registries and workloads for the planner's tests, and ways to draw them at random."""

from __future__ import annotations

import math
from itertools import combinations, permutations
from typing import TYPE_CHECKING, NamedTuple, get_args

from hypothesis import strategies as st

from hgx.core.engine_rates import EngineRates, TypeRates
from hgx.core.options import PlanOptions, RpcMode
from hgx.core.plan import Objective
from hgx.core.registry import Device, Link, Node, Registry
from hgx.core.workload import Block, KvShape, Workload
from hgx.errors import Infeasible
from hgx.gguf.arrangement import Arrangement
from hgx.planner.anatomy import answer_of, price_answer
from hgx.planner.cost import BLOCK_OVERHEAD_S
from hgx.planner.evaluate import evaluate
from hgx.planner.placement import total_objective
from hgx.planner.problem import Problem, Question, build_problem
from hgx.planner.solve import solve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hgx.core.plan import Plan
    from hgx.planner.placement import Placement, PricedStage

MB = 1_000_000
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
RPC_MODES: tuple[RpcMode, ...] = get_args(RpcMode)

WHOLE = (Arrangement.ALONE, Arrangement.HOST_FIRST, Arrangement.PIPELINE)
"""Arrangements in which all tensors of a block are on its device."""

SEVERAL = (Arrangement.HOST_FIRST, Arrangement.PIPELINE)
"""Those of several stages."""

LONG_PROMPT = 1300
"""Tokens that are read in three micro-batches."""

PROMPTS = (100, LONG_PROMPT)
"""Of one micro-batch, and of several."""

HOME_RTT_S = 1e-3
HOME_BYTES_PER_S = 1e8
"""The wire of a home network."""


def block(weight: int = 50 * MB, *, kv_width: int = 64, flops: float | None = None) -> Block:
    """A dense block: two operations per weight of half a byte, unless told otherwise."""
    return Block(
        weight_bytes={"Q4_K": weight},
        flops_per_token=4.0 * weight if flops is None else flops,
        attention_flops=1000.0,
        kv=KvShape(k_width=kv_width, v_width=kv_width),
        scratch=512,
    )


def workload(
    weights: Sequence[int] = (50 * MB,) * 4,
    *,
    head: int = 20 * MB,
    embedding: int = 20 * MB,
    tied: bool = False,
    blocks: Sequence[Block] | None = None,
    n_embd: int = 256,
    n_vocab: int = 1000,
    n_ctx_train: int | None = None,
) -> Workload:
    """A model with one block per weight, in bytes, or with the blocks given."""
    made = tuple(blocks) if blocks is not None else tuple(block(weight) for weight in weights)
    total = sum(part.total_weight_bytes for part in made) + head + embedding * (not tied)
    return Workload(
        path="model.gguf",
        files=("model.gguf",),
        architecture="llama",
        name="a model",
        parameters=2 * total,
        file_bytes=total,
        n_block=len(made),
        n_embd=n_embd,
        n_vocab=n_vocab,
        n_ctx_train=n_ctx_train,
        n_head=4,
        head_dim=64,
        n_ff=1024,
        n_expert_used=0,
        tied_embedding=tied,
        embedding_bytes=embedding,
        chat_template=False,
        blocks=made,
        output=Block(weight_bytes={"Q6_K": head}, flops_per_token=2.0 * head),
    )


def device(
    name: str,
    memory: int = 1000 * MB,
    bandwidth: float = 1e11,
    flops: float = 1e13,
    *,
    unified: bool | None = None,
    free: int | None = None,
) -> Device:
    """A device; its name is its id, NODE/BACKEND:INDEX."""
    node, _, rest = name.partition("/")
    return Device(
        id=name,
        node=node,
        backend=rest.partition(":")[0],
        memory_total_bytes=memory,
        memory_free_bytes=free,
        unified_memory=unified,
        memory_bandwidth_bytes_per_s=bandwidth,
        compute_flops_per_s=flops,
    )


def rates(**decode_s_per_byte: float) -> EngineRates:
    """Rates of the engine by type; an operation takes a hundredth of a byte, all else nothing."""
    return EngineRates(
        types={
            name: TypeRates(decode_s_per_byte=seconds, prefill_s_per_flop=seconds / 100)
            for name, seconds in decode_s_per_byte.items()
        },
        decode_layer_s=0.0,
        prefill_layer_s=0.0,
    )


def with_engine(one: Device, engine: EngineRates | None = None) -> Device:
    """A device measured with the engine: with the rates given, or with just those it has."""
    if engine is None:
        same = TypeRates(
            decode_s_per_byte=1 / one.memory_bandwidth_bytes_per_s,
            prefill_s_per_flop=1 / one.compute_flops_per_s,
        )
        engine = EngineRates(
            types={"Q4_K": same, "Q6_K": same},
            decode_layer_s=BLOCK_OVERHEAD_S,
            prefill_layer_s=BLOCK_OVERHEAD_S,
        )
    return one.model_copy(update={"engine": engine})


def link(
    source: str, target: str, rtt_s: float = HOME_RTT_S, rate: float = HOME_BYTES_PER_S
) -> Link:
    """A link from one node to another."""
    return Link.model_validate(
        {"from": source, "to": target, "rtt_s": rtt_s, "bandwidth_bytes_per_s": rate}
    )


def registry(
    *devices: Device,
    nodes: Iterable[str] = (),
    links: Iterable[Link] | None = None,
    ram: Mapping[str, int] | None = None,
) -> Registry:
    """A registry of devices, with their nodes and further ones.

    Args:
        devices: The devices, in order.
        nodes: Further nodes, without devices; they come first.
        links: The links; when absent, every two nodes have one of a home network.
        ram: RAM in bytes of the nodes whose RAM is known.
    """
    names = list(dict.fromkeys((*nodes, *(one.node for one in devices))))
    if links is None:
        links = [link(one, other) for one, other in combinations(names, 2)]
    known = ram or {}
    return Registry(
        nodes=tuple(Node(id=name, ram_total_bytes=known.get(name)) for name in names),
        devices=devices,
        links=tuple(links),
    )


def options(
    objective: Objective = "latency",
    *,
    coordinator: str | None = "a",
    ctx: int = 256,
    parallel: int = 1,
    prompt_tokens: int = 100,
    rpc: RpcMode = "async",
    max_nodes: int | None = None,
    require: Sequence[str] = (),
) -> PlanOptions:
    """Options of a short conversation, which leave no memory free."""
    return PlanOptions(
        objective=objective,
        coordinator=coordinator,
        ctx=max(ctx, prompt_tokens),
        parallel=parallel,
        prompt_tokens=prompt_tokens,
        rpc=rpc,
        max_nodes=max_nodes,
        require=tuple(require),
        headroom_bytes=0,
        timeout_s=60.0,
    )


class Case(NamedTuple):
    """A question to the planner."""

    registry: Registry
    workload: Workload
    options: PlanOptions

    def problem(
        self, coordinator: str = "a", arrangement: Arrangement = Arrangement.PIPELINE
    ) -> Problem:
        """The question as numbers."""
        return build_problem(Question(*self), coordinator, arrangement)

    def problems(self, coordinator: str = "a") -> list[Problem]:
        """The same for every arrangement of stages."""
        return [self.problem(coordinator, one) for one in WHOLE]


def case(*devices: Device, model: Workload | None = None, asked: PlanOptions | None = None) -> Case:
    """A question about devices on a home network, coordinated from node ``a``."""
    return Case(registry(*devices, nodes=("a",)), model or workload(), asked or options())


def objective_of(plan: Plan, question: Case | None = None) -> float:
    """The objective of a plan for the default length of an answer, from what the plan promises.

    Where micro-batches of a prompt follow each other, a plan does not say what is balanced: then
    the question is needed.
    """
    assert plan.predicted is not None
    slowest = max(stage.seconds_per_token for stage in plan.stages)
    latency = plan.predicted.ttft_s + PlanOptions().output_tokens * plan.predicted.tpot_s
    match plan.objective:
        case "latency":
            return latency
        case "throughput":
            return slowest
        case "balanced":
            if question:
                return total_objective(*priced(question, plan))
            return (latency + PlanOptions().output_tokens * slowest) / 2


def priced(question: Case, plan: Plan) -> tuple[Problem, list[PricedStage]]:
    """The problem that a plan's placement is an answer to, and its stages."""
    answer = answer_of(plan)
    assert answer is not None
    found = price_answer(Question(*question), answer)
    return found.problem, list(found.stages)


def optimum(question: Case) -> float:
    """The least objective, as ``solve`` proves it; infinite where nothing fits."""
    plan = solve(*question)
    if plan.status == "infeasible":
        return math.inf
    assert plan.status == "optimal"
    return objective_of(plan, question)


def placement_of(plan: Plan) -> Placement:
    """The placement of a plan, as ``evaluate`` takes it."""
    return tuple((stage.device, stage.first_block, stage.last_block) for stage in plan.stages)


def placements(devices: Sequence[str], n_block: int) -> Iterator[Placement]:
    """All placements there are."""
    for count in range(1, len(devices) + 1):
        for order in permutations(devices, count):
            for cuts in combinations(range(1, n_block), count - 1):
                ends = (*cuts, n_block)
                starts = (0, *cuts)
                yield tuple(
                    (name, first, end - 1)
                    for name, first, end in zip(order, starts, ends, strict=True)
                )


def with_devices(question: Case, devices: Iterable[Device]) -> Case:
    """The same question with other devices on the same nodes."""
    return question._replace(
        registry=question.registry.model_copy(update={"devices": tuple(devices)})
    )


def best_by_hand(question: Case) -> float:
    """The least objective of all placements, by evaluating every one; infinite where none fits."""
    best = math.inf
    devices = [one.id for one in question.registry.devices]
    for placement in placements(devices, question.workload.n_block):
        try:
            plan = evaluate(question.registry, question.workload, placement, question.options)
        except Infeasible:
            continue
        best = min(best, objective_of(plan, question))
    return best


BACKENDS = ("cuda", "cpu", "metal")


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    devices: int = 3,
    blocks: int = 4,
    backends: Sequence[str] = BACKENDS,
    coordinators: Sequence[str | None] = ("a", None),
    objectives: Sequence[Objective] = OBJECTIVES,
    prompts: Sequence[int] = (100, 256),
    wishes: bool = False,
    crossing: bool = False,
) -> Case:
    """Small questions: few devices on up to three nodes, some together, memory rather tight.

    With wishes, what must be used and how many nodes may take part are drawn too. With crossing,
    blocks hand over more than hidden states, so that a shorter stage may need more room.
    """
    sizes = draw(st.lists(st.integers(1, 8), min_size=2, max_size=blocks))
    head = draw(st.sampled_from((5, 60))) * MB
    model = workload(
        [20 * MB * size for size in sizes], head=head, embedding=head, tied=draw(st.booleans())
    )
    if crossing:
        extra = st.sampled_from((0, 0, 9000))
        model = model.model_copy(
            update={
                "blocks": tuple(
                    one.model_copy(update={"handed": draw(extra), "returned": draw(extra)})
                    for one in model.blocks
                )
            }
        )
    places = draw(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.sampled_from(backends), st.integers(0, 1)),
            min_size=1,
            max_size=devices,
            unique=True,
        )
    )
    whole = 1 + sum(sizes)
    drawn = [
        device(
            f"{node}/{backend}:{index}",
            40 * MB + 20 * MB * draw(st.integers(1 + whole // 3, 2 * whole)),
            draw(st.sampled_from((1e10, 5e10, 3e11, 1e12))),
            draw(st.sampled_from((1e11, 3e12, 2e13))),
            unified=backend == "metal" or None,
        )
        for node, backend, index in places
    ]
    wires = [
        link(
            one,
            other,
            draw(st.sampled_from((1e-4, 2e-3))),
            draw(st.sampled_from((1e7, 1e9))),
        )
        for one, other in combinations("abc", 2)
    ]
    asked = options(
        draw(st.sampled_from(objectives)),
        coordinator=draw(st.sampled_from(coordinators)),
        parallel=draw(st.sampled_from((1, 3))),
        prompt_tokens=draw(st.sampled_from(prompts)),
        rpc=draw(st.sampled_from(RPC_MODES)),
        max_nodes=draw(st.sampled_from((None, 1, 2))) if wishes else None,
        require=draw(_required([one.id for one in drawn])) if wishes else (),
    )
    return Case(registry(*drawn, nodes="abc", links=wires), model, asked)


def _required(devices: Sequence[str]) -> st.SearchStrategy[list[str]]:
    """Devices and nodes that must be used."""
    names = sorted({*devices, *(name.partition("/")[0] for name in devices)})
    return st.lists(st.sampled_from(names), max_size=2, unique=True)
