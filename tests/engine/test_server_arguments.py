"""What llama-server is told."""

from __future__ import annotations

from hgx.engine.server_arguments import (
    ServerSpec,
    hand_arguments,
    server_arguments,
    server_environment,
)


def value_of(arguments: tuple[str, ...], name: str) -> str:
    """Return what follows an argument that is there once."""
    assert arguments.count(name) == 1
    return arguments[arguments.index(name) + 1]


def test_several_machines() -> None:
    """Servers come before their devices; the split has a number for each device."""
    spec = ServerSpec(
        model="m.gguf",
        alias="m",
        ctx=1000,
        parallel=3,
        kv_type="q8_0",
        threads=4,
        gpu_layers=14,
        tensor_split=(6, 8),
        devices=("RPC1", "CUDA0"),
        rpc=("127.0.0.1:1", "127.0.0.1:2"),
        backend_sampling=True,
        chat_template="{{x}}",
        stop=("a", "b"),
    )
    arguments = server_arguments(spec)
    assert arguments.index("--rpc") < arguments.index("--device")
    wanted = {
        "--model": "m.gguf",
        "--alias": "m",
        "--host": "127.0.0.1",
        "--port": "0",
        "--ctx-size": "3000",
        "--parallel": "3",
        "--cache-type-k": "q8_0",
        "--cache-type-v": "q8_0",
        "--threads": "4",
        "--n-gpu-layers": "14",
        "--tensor-split": "6,8",
        "--device": "RPC1,CUDA0",
        "--rpc": "127.0.0.1:1,127.0.0.1:2",
        "--fit": "off",
        "--chat-template": "{{x}}",
    }
    assert {name: value_of(arguments, name) for name in wanted} == wanted
    assert "--backend-sampling" in arguments
    assert [arguments[i + 1] for i, a in enumerate(arguments) if a == "--reverse-prompt"] == [
        "a",
        "b",
    ]


def test_this_machine_alone() -> None:
    """Without devices llama.cpp is told that there are none, as it would choose some itself."""
    arguments = server_arguments(ServerSpec(model="m.gguf", alias="m"))
    assert value_of(arguments, "--device") == "none"
    assert value_of(arguments, "--n-gpu-layers") == "0"
    assert not {"--rpc", "--tensor-split", "--backend-sampling", "--chat-template"} & set(arguments)


def test_the_key_is_no_argument() -> None:
    """Other users can read arguments."""
    assert server_environment("secret")["LLAMA_API_KEY"] == "secret"


def test_by_hand() -> None:
    """People get the same, at a port that they know, with threads and words as llama.cpp likes."""
    spec = ServerSpec(
        model="m.gguf",
        alias="m",
        gpu_layers=3,
        tensor_split=(3,),
        devices=("CUDA0",),
        backend_sampling=True,
        stop=("a",),
    )
    told = hand_arguments(spec, 8080)
    assert value_of(told, "--port") == "8080"
    hgx = server_arguments(spec)
    left_out = {"--threads", "--threads-batch", "--verbosity", "--no-webui", "--no-slots"}
    assert {word for word in hgx if word.startswith("--")} - {*told} == left_out
    same = ("--model", "--ctx-size", "--cache-type-k", "--device", "--tensor-split", "--fit")
    assert all(value_of(told, name) == value_of(hgx, name) for name in same)
