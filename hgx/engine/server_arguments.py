"""What llama-server is told: its arguments, and the variables of its environment.

What no build may misunderstand is an argument. What only some builds know is a variable, because
those that do not know it leave it alone, where an unknown argument would end them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hgx.engine.base import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEBUG = 5
"""The verbosity at which llama.cpp says which layer goes where."""


class ServerSpec(EngineSpec):
    """Everything llama-server must know to run one model, on several machines too.

    Attributes:
        devices: Where ``gpu_layers`` go, in the order of the layers, by llama.cpp's names;
            ``tensor_split`` has a number for each.
        rpc: Addresses of the workers' ends of tunnels, ``127.0.0.1:PORT``. llama.cpp numbers their
            devices in this order, as ``RPC0``, ``RPC1``.
        backend_sampling: Whether tokens are sampled where the output head is, so that no logits
            cross the network.
    """

    devices: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    rpc: tuple[str, ...] = ()
    backend_sampling: bool = False


def server_arguments(spec: ServerSpec) -> tuple[str, ...]:
    """Say how llama-server has to be started, the program itself left out."""
    return (
        *placing_arguments(spec),
        *_serving(spec, port=0),
        *("--threads", f"{spec.threads}", "--threads-batch", f"{spec.threads}"),
        *("--no-webui", "--no-slots"),
    )


def hand_arguments(spec: ServerSpec, port: int) -> tuple[str, ...]:
    """Say the same for people who start llama-server themselves.

    It has a port that they know, its web page, as many threads as it thinks best, and says less.

    Args:
        spec: What to run; its ``threads`` do not count.
        port: Where it listens, on loopback.
    """
    return (*_placing(spec), *_serving(spec, port))


def placing_arguments(spec: ServerSpec) -> tuple[str, ...]:
    """Say what decides where layers go and what they take; llama-fit-params is told the same."""
    return (*_placing(spec), "--verbosity", f"{_DEBUG}")


def _serving(spec: ServerSpec, port: int) -> tuple[str, ...]:
    return (
        *("--alias", spec.alias, "--host", "127.0.0.1", "--port", f"{port}"),
        *(("--backend-sampling",) if spec.backend_sampling else ()),
        *(("--jinja", "--chat-template", spec.chat_template) if spec.chat_template else ()),
        *(word for text in spec.stop for word in ("--reverse-prompt", text)),
    )


def _placing(spec: ServerSpec) -> tuple[str, ...]:
    return (
        *("--model", spec.model),
        *("--ctx-size", f"{spec.ctx * spec.parallel}", "--parallel", f"{spec.parallel}"),
        *("--cache-type-k", spec.kv_type, "--cache-type-v", spec.kv_type),
        # Before the devices, which do not exist to it until their servers are known.
        *(("--rpc", ",".join(spec.rpc)) if spec.rpc else ()),
        *("--n-gpu-layers", f"{spec.gpu_layers}", "--device", ",".join(spec.devices) or "none"),
        *(("--tensor-split", ",".join(map(str, spec.tensor_split))) if spec.tensor_split else ()),
        *(("--override-tensor", _experts(spec.experts_away)) if spec.experts_away else ()),
        # The plan has decided; llama.cpp must not move layers silently.
        *("--fit", "off"),
    )


def _experts(blocks: int) -> str:
    """Name the routed experts of the first blocks, and the host's memory as their place."""
    numbers = "|".join(map(str, range(blocks)))
    return rf"blk\.({numbers})\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"


def server_environment(api_key: str) -> Mapping[str, str]:
    """Return the variables that llama-server gets besides hgx's own.

    Args:
        api_key: What it asks for; other users can read arguments, but not these.
    """
    return {
        "LLAMA_API_KEY": api_key,
        "LLAMA_ARG_CORS_ORIGINS": "localhost",
        "LLAMA_ARG_OFFLINE": "1",
        # Plans count on it: left to itself llama.cpp gives it up for some models that begin on the
        # CPU, and then takes gigabytes for attention where the plan has megabytes.
        "LLAMA_ARG_FLASH_ATTN": "on",
        # RDMA would be negotiated around the tunnel.
        "GGML_RPC_NO_RDMA": "1",
        # GNU OpenMP's threads spin long before they sleep, which other load on the cores punishes.
        "GOMP_SPINCOUNT": "1000",
    }
