"""What the metadata does not say of an architecture: which blocks have windows, which recur.

Facts as in llama.cpp build 11434 (``src/models/*.cpp``, ``llama-model.cpp``).
Architectures without memory of the past (encoders, diffusion) and those whose attention keeps an
index of its own (DeepSeek 3.2, GLM with sparse attention) are not here, so they are not guessed.
"""

from __future__ import annotations

import difflib
from typing import Final, Literal, NamedTuple

from hgx.errors import ModelError

Recurrence = Literal["none", "all", "beside attention", "no kv heads", "no heads or ff", "interval"]


class Arch(NamedTuple):
    """How the blocks of an architecture differ from one another.

    Attributes:
        period: Every so many blocks one attends to the whole context and the others have a
            window, unless the file lists them; 0 gives all a window; None gives none one.
        global_first: The block without a window opens its period instead of closing it.
        window: Window in tokens where the file gives none; None where that means no windows.
        needs_blocks: Windows exist only in the model with this many blocks.
        recurrence: Which blocks keep a recurrent state: none, all instead of attention, all beside
            attention, those without KV heads, those with neither KV heads nor feed-forward, or all
            but every so many (``full_attention_interval``).
        kv_blocks: Blocks that keep a KV cache; those after them reuse one. None means all.
    """

    period: int | None = None
    global_first: bool = False
    window: int | None = None
    needs_blocks: int | None = None
    recurrence: Recurrence = "none"
    kv_blocks: int | None = None


_PLAIN: Final = (
    "apertus",
    "arcee",
    "arctic",
    "baichuan",
    "bailingmoe",
    "bailingmoe2",
    "bitnet",
    "bloom",
    "chameleon",
    "chatglm",
    "codeshell",
    "cogvlm",
    "command-r",
    "dbrx",
    "deci",
    "deepseek",
    "deepseek2",
    "deepseek2-ocr",
    "dots1",
    "ernie4_5",
    "ernie4_5-moe",
    "exaone",
    "falcon",
    "gemma",
    "glm4",
    "glm4moe",
    "gpt2",
    "gptneox",
    "granite",
    "granitemoe",
    "grok",
    "grovemoe",
    "hunyuan-dense",
    "hunyuan-moe",
    "hunyuan_vl",
    "internlm2",
    "jais",
    "jais2",
    "llama",
    "maincoder",
    "minicpm",
    "minicpm3",
    "minimax-m2",
    "mistral3",
    "mistral4",
    "mpt",
    "nemotron",
    "olmo",
    "olmoe",
    "openelm",
    "orion",
    "paddleocr",
    "pangu-embedded",
    "phi2",
    "phi3",
    "phimoe",
    "plamo",
    "plm",
    "qwen",
    "qwen2",
    "qwen2moe",
    "qwen2vl",
    "qwen3",
    "qwen3moe",
    "qwen3vl",
    "qwen3vlmoe",
    "refact",
    "seed_oss",
    "smollm3",
    "stablelm",
    "starcoder",
    "starcoder2",
    "xverse",
)

_ALL_RECURRENT: Final = ("mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7")
_BY_HEADS: Final = ("jamba", "granitehybrid", "plamo2", "kimi-linear", "lfm2moe")
_BY_INTERVAL: Final = ("qwen3next", "qwen35", "qwen35moe")
_LISTED_WINDOWS: Final = ("gemma4", "granite_swa", "maple", "mimo2", "spark2_5", "step35")

ARCHS: Final[dict[str, Arch]] = {
    **dict.fromkeys(_PLAIN, Arch()),
    **dict.fromkeys(_ALL_RECURRENT, Arch(recurrence="all")),
    **dict.fromkeys(_BY_HEADS, Arch(recurrence="no kv heads")),
    **dict.fromkeys(_BY_INTERVAL, Arch(recurrence="interval")),
    # A period of one is all global: only what the file lists has a window.
    **dict.fromkeys(_LISTED_WINDOWS, Arch(period=1)),
    "afmoe": Arch(period=4),
    "cohere2": Arch(period=4),
    "cohere2moe": Arch(period=4, global_first=True),
    "exaone-moe": Arch(period=4, window=128),
    "exaone4": Arch(period=4, window=4096, needs_blocks=64),
    "falcon-h1": Arch(recurrence="beside attention"),
    "gemma2": Arch(period=2, window=4096),
    "gemma3": Arch(period=6),
    "gemma3n": Arch(period=5, kv_blocks=20),
    "gpt-oss": Arch(period=2),
    "laguna": Arch(period=4, global_first=True),
    "lfm2": Arch(period=0, recurrence="no kv heads"),
    "llama4": Arch(period=4, window=8192),
    "mellum": Arch(period=4),
    "muse-glimmer": Arch(period=4),
    "nemotron_h": Arch(recurrence="no heads or ff"),
    "nemotron_h_moe": Arch(recurrence="no heads or ff"),
    "olmo2": Arch(period=4),
    "plamo3": Arch(period=8),
    "smallthinker": Arch(period=4, global_first=True),
}
"""Every architecture hgx can plan, by the name in ``general.architecture``."""


def find_arch(name: str, file: str) -> Arch:
    """Return what is known of an architecture.

    Args:
        name: ``general.architecture`` of a header.
        file: What to call the file in the message.

    Raises:
        ModelError: It is not known; the message names those spelled alike.
    """
    if name in ARCHS:
        return ARCHS[name]
    near = difflib.get_close_matches(name[:64], ARCHS, n=3)
    alike = f" (known and spelled alike: {', '.join(near)})" if near else ""
    msg = f"{file} is of the architecture {name[:64]!a}, which hgx does not know{alike}: update hgx"
    raise ModelError(msg)
