"""What is known of architectures, and what is said of those that are not."""

from __future__ import annotations

import gguf
import pytest

from hgx.errors import ModelError
from hgx.gguf.arch import ARCHS, find_arch

# Newer than the release of the gguf package the tests run with.
NEWER = {"cohere2moe", "granite_swa", "laguna", "mellum", "muse-glimmer", "spark2_5", "maple"}


def test_every_name_is_one_that_ggml_uses() -> None:
    """No architecture is misspelled: ggml's own list has them all."""
    assert set(ARCHS) - NEWER <= set(gguf.MODEL_ARCH_NAMES.values())


def test_an_unknown_architecture_names_those_spelled_alike() -> None:
    """The message has the name, near matches and what to do."""
    with pytest.raises(ModelError, match=r"m.gguf .* 'qwen3moee', .*alike: qwen3moe.*: update hgx"):
        find_arch("qwen3moee", "m.gguf")


def test_a_name_like_no_other_has_no_suggestions() -> None:
    """Where nothing is spelled alike, nothing is suggested, and a long name is cut."""
    with pytest.raises(ModelError, match=r"'z{64}', which hgx does not know: update hgx"):
        find_arch("z" * 1000, "m.gguf")
