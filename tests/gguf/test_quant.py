"""Types of tensor elements: the numbers are those of ggml."""

from __future__ import annotations

import gguf
import pytest

from hgx.gguf.quant import by_id, by_name

# The gguf package counts a sum of four bytes more that ggml has not; no file stores this type.
KNOWN = {kind: size for kind, size in gguf.GGML_QUANT_SIZES.items() if kind.name != "Q8_1"}


@pytest.mark.parametrize(("kind", "size"), KNOWN.items(), ids=lambda it: getattr(it, "name", ""))
def test_sizes_are_those_of_the_gguf_package(
    kind: gguf.GGMLQuantizationType, size: tuple[int, int]
) -> None:
    """Name, elements per block and bytes per block agree with ggml's own Python package."""
    found = by_id(kind.value)
    assert found is not None
    assert (found.name, found.block, found.block_bytes) == (kind.name, *size)


@pytest.mark.parametrize("number", [4, 5, 31, 36, 43, 2**32 - 1])
def test_numbers_ggml_has_given_up_or_not_given_are_unknown(number: int) -> None:
    """A type ggml removed or never had is None, not a guess."""
    assert by_id(number) is None


@pytest.mark.parametrize(("name", "width", "size"), [("f16", 128, 256), ("q8_0", 64, 68)])
def test_a_row_is_a_whole_number_of_blocks(name: str, width: int, size: int) -> None:
    """Bytes of a row follow from its blocks, whatever the case of the type's name."""
    assert by_name(name).row_bytes(width) == size


def test_a_row_that_ends_within_a_block_is_refused() -> None:
    """A width that is no multiple of the block is an error that names both."""
    with pytest.raises(ValueError, match=r"80 elements .* Q8_0 blocks \(32\)"):
        by_name("q8_0").row_bytes(80)
