"""Which devices of a registry the installed engine can use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hgx.core.registry import Device, Node, Registry
from hgx.engine.base import EngineDevice
from hgx.engine.devices import match_devices, placeable, usable_devices

_GIB = 1024**3


def _device(name: str, title: str | None = None, gib: int = 8, node: str = "here") -> Device:
    return Device(
        id=f"{node}/{name}",
        node=node,
        backend=name.partition(":")[0],
        name=title,
        memory_total_bytes=gib * _GIB,
        memory_bandwidth_bytes_per_s=1e9,
        compute_flops_per_s=1e9,
    )


def _engine(name: str, kind: str, description: str = "", gib: int = 8) -> EngineDevice:
    return EngineDevice(
        name=name, description=description, kind=kind, memory_total_bytes=gib * _GIB
    )


_CPU = _engine("CPU", "cpu", "Some CPU", 16)


def _registry(*devices: Device) -> Registry:
    nodes = tuple(Node(id=name) for name in dict.fromkeys(device.node for device in devices))
    return Registry(nodes=nodes, devices=devices)


def test_the_cpu_wheel_uses_the_cpu_alone() -> None:
    """Cards the engine was not built for, and other nodes, are left out; only the former told."""
    registry = _registry(
        _device("cpu:0", gib=16), _device("cuda:0", "NVIDIA X"), _device("cpu:0", node="other")
    )
    usable = usable_devices(registry, "here", [_CPU])
    assert [device.id for device in usable.registry.devices] == ["here/cpu:0"]
    assert [node.id for node in usable.registry.nodes] == ["here"]
    (sentence,) = usable.left_out
    assert "here/cuda:0" in sentence
    assert "NVIDIA X" in sentence
    assert "no CUDA" in sentence


def test_a_card_is_found_by_its_backend() -> None:
    """A card without a name is the engine's card of the same backend and like memory."""
    found = match_devices([_device("cuda:0", gib=24)], [_CPU, _engine("CUDA0", "gpu", "Y", 23)])
    assert found["here/cuda:0"].name == "CUDA0"


def test_a_card_is_found_by_its_name() -> None:
    """A card of another backend than the engine's is the same card if name and memory agree."""
    engine = [_engine("Vulkan0", "gpu", "NVIDIA GeForce RTX 4090 (NV)", 24), _CPU]
    found = match_devices([_device("cuda:0", "NVIDIA GeForce RTX 4090", 24)], engine)
    assert found["here/cuda:0"].name == "Vulkan0"


def test_memory_tells_cards_apart() -> None:
    """Two cards of one backend are paired by their memory, whatever their order."""
    engine = [_engine("CUDA0", "gpu", "A", 24), _engine("CUDA1", "gpu", "B", 8)]
    found = match_devices([_device("cuda:0", gib=8), _device("cuda:1", gib=24)], engine)
    assert {name: twin.name for name, twin in found.items()} == {
        "here/cuda:0": "CUDA1",
        "here/cuda:1": "CUDA0",
    }


def test_integrated_cards_count_only_alone() -> None:
    """The engine ignores an integrated GPU beside a real one, and helpers always."""
    real, integrated = _engine("CUDA0", "gpu"), _engine("Vulkan0", "igpu")
    helper = _engine("BLAS", "accel")
    assert placeable([helper, integrated, real, _CPU]) == [real]
    assert placeable([helper, integrated, _CPU]) == [integrated]


@given(
    st.lists(st.sampled_from(["cpu", "cuda", "rocm", "tflite"]), max_size=6),
    st.lists(st.sampled_from(["CPU", "CUDA", "ROCm"]), max_size=6),
)
def test_a_pairing_is_one_to_one(ours: list[str], theirs: list[str]) -> None:
    """No device gets two entries of the engine, and no entry serves two devices."""
    devices = [_device(f"{backend}:{index}") for index, backend in enumerate(ours)]
    engine = [
        _engine(f"{name}{index}", "cpu" if name == "CPU" else "gpu")
        for index, name in enumerate(theirs)
    ]
    found = match_devices(devices, engine)
    assert set(found) <= {device.id for device in devices}
    assert len({twin.name for twin in found.values()}) == len(found)
    expected = sum(min(ours.count(b.lower()), theirs.count(b)) for b in ("CPU", "CUDA", "ROCm"))
    assert len(found) == expected
