"""What llama.cpp says it did, from lines as build 11434 writes them."""

from __future__ import annotations

import pytest

from hgx.engine.placement import place_layers
from hgx.engine.readback import Allocated, Loaded, check_layers
from hgx.errors import EngineError
from hgx.units import MIB
from tests.engine.plans import plan_of

LINES = """\
0.00.135.623 I llama_prepare_model_devices: using device RPC0 (127.0.0.1:52) (unknown id)
0.00.135.928 I llama_prepare_model_devices: using device RPC1 (127.0.0.1:52) (unknown id)
0.00.135.928 I llama_prepare_model_devices: using device RPC2 (127.0.0.1:53) (unknown id)
0.00.446.814 D load_tensors: layer   0 assigned to device CPU, is_swa = 1
0.00.446.817 D load_tensors: layer   1 assigned to device RPC0, is_swa = 1
0.00.446.817 D load_tensors: layer   2 assigned to device RPC0, is_swa = 0
0.00.446.818 D load_tensors: layer   3 assigned to device RPC2, is_swa = 0
0.00.446.818 D load_tensors: layer   4 assigned to device RPC2, is_swa = 0
0.00.466.200 I load_tensors:   CPU_Mapped model buffer size =   188.29 MiB
0.00.466.202 I load_tensors:   CPU_REPACK model buffer size =     3.25 MiB
0.00.466.204 I load_tensors: RPC0[127.0.0.1:52] model buffer size =    21.50 MiB
0.00.466.205 I load_tensors: RPC0[127.0.0.1:53] model buffer size =   195.50 MiB
0.01.162.092 I llama_kv_cache: RPC1[127.0.0.1:52] KV buffer size =     4.00 MiB
0.01.165.733 I llama_kv_cache: RPC1[127.0.0.1:52] KV buffer size =     5.00 MiB
0.01.174.976 I sched_reserve: RPC0[127.0.0.1:53] compute buffer size =    16.50 MiB
0.01.161.734 I llama_context:        CPU  output buffer size =     1.00 MiB
0.01.175.006 I sched_reserve:        CPU compute buffer size =    23.00 MiB
0.01.161.789 I llama_memory_recurrent:      CUDA0 RS buffer size =     2.00 MiB
0.01.161.789 I load_tensors:      MTL0_Mapped model buffer size =     1.00 MiB
nothing of interest, layer 7 assigned to device
"""  # fmt: skip


@pytest.fixture
def loaded() -> Loaded:
    """What those lines say."""
    found = Loaded()
    for line in LINES.splitlines():
        found.feed(line)
    return found


def test_layers(loaded: Loaded) -> None:
    """Each layer has the device that the log names."""
    assert loaded.layers == {0: "CPU", 1: "RPC0", 2: "RPC0", 3: "RPC2", 4: "RPC2"}


def test_buffers(loaded: Loaded) -> None:
    """Buffers count to their device: a server's by its address, the host's together."""
    assert loaded.buffers == {
        "CPU": Allocated(weights=round(191.54 * MIB), compute=24 * MIB),
        "RPC0": Allocated(weights=round(21.5 * MIB)),
        "RPC1": Allocated(kv=9 * MIB),
        "RPC2": Allocated(weights=round(195.5 * MIB), compute=round(16.5 * MIB)),
        "CUDA0": Allocated(kv=2 * MIB),
        "MTL0": Allocated(weights=MIB),
    }


def test_layers_as_planned(loaded: Loaded) -> None:
    """A plan that was carried out passes, and so does a log that says nothing of layers."""
    names = {"n/cpu:0": "CPU", "n/a:0": "RPC0", "n/b:0": "RPC2"}
    placement = place_layers(plan_of(("cpu:0", 1), ("a:0", 2), ("b:0", 1)), names)
    check_layers(placement, loaded.layers)
    check_layers(placement, {})


def test_layers_not_as_planned(loaded: Loaded) -> None:
    """A layer elsewhere is an error that says where it is and where it was to be."""
    names = {"n/cpu:0": "CPU", "n/a:0": "RPC0", "n/b:0": "RPC2"}
    placement = place_layers(plan_of(("cpu:0", 1), ("a:0", 1), ("b:0", 2)), names)
    with pytest.raises(EngineError) as raised:
        check_layers(placement, loaded.layers)
    assert "put layers 1-2 on n/a:0 (RPC0), the plan has layers 1 there" in raised.value.message


def test_no_layers_where_some_were_planned(loaded: Loaded) -> None:
    """A device without any layer is named too."""
    placement = place_layers(plan_of(("c:0", 3)), {"n/c:0": "RPC9"})
    with pytest.raises(EngineError, match=r"put no layers on n/c:0"):
        check_layers(placement, loaded.layers)
    with pytest.raises(EngineError, match=r"put layers 0 and 2-3 on"):
        check_layers(placement, {0: "RPC9", 1: "CPU", 2: "RPC9", 3: "RPC9"})
