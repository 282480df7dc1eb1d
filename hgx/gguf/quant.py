"""The types a tensor's elements can have: names, and bytes per row.

Numbers are those of ggml (``ggml.h``, ``ggml-common.h``, llama.cpp build 11434): elements come in
blocks, each with its own scales, and a row is a whole number of blocks.
"""

from __future__ import annotations

from typing import NamedTuple


class QuantType(NamedTuple):
    """How the elements of a tensor are stored.

    Attributes:
        id: Number in the file's tensor table.
        name: Name in capitals, as ``Q4_K``.
        block: Elements per block.
        block_bytes: Bytes per block.
    """

    id: int
    name: str
    block: int
    block_bytes: int

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of ``width`` elements.

        Raises:
            ValueError: The row is not a whole number of blocks.
        """
        blocks, rest = divmod(width, self.block)
        if rest:
            msg = (
                f"a row of {width} elements is no whole number of {self.name} blocks ({self.block})"
            )
            raise ValueError(msg)
        return blocks * self.block_bytes


_TYPES = (
    QuantType(0, "F32", 1, 4),
    QuantType(1, "F16", 1, 2),
    QuantType(2, "Q4_0", 32, 18),
    QuantType(3, "Q4_1", 32, 20),
    QuantType(6, "Q5_0", 32, 22),
    QuantType(7, "Q5_1", 32, 24),
    QuantType(8, "Q8_0", 32, 34),
    # 36 bytes in ggml, 40 in the gguf package; no file stores it, it is an intermediate.
    QuantType(9, "Q8_1", 32, 36),
    QuantType(10, "Q2_K", 256, 84),
    QuantType(11, "Q3_K", 256, 110),
    QuantType(12, "Q4_K", 256, 144),
    QuantType(13, "Q5_K", 256, 176),
    QuantType(14, "Q6_K", 256, 210),
    QuantType(15, "Q8_K", 256, 292),
    QuantType(16, "IQ2_XXS", 256, 66),
    QuantType(17, "IQ2_XS", 256, 74),
    QuantType(18, "IQ3_XXS", 256, 98),
    QuantType(19, "IQ1_S", 256, 50),
    QuantType(20, "IQ4_NL", 32, 18),
    QuantType(21, "IQ3_S", 256, 110),
    QuantType(22, "IQ2_S", 256, 82),
    QuantType(23, "IQ4_XS", 256, 136),
    QuantType(24, "I8", 1, 1),
    QuantType(25, "I16", 1, 2),
    QuantType(26, "I32", 1, 4),
    QuantType(27, "I64", 1, 8),
    QuantType(28, "F64", 1, 8),
    QuantType(29, "IQ1_M", 256, 56),
    QuantType(30, "BF16", 1, 2),
    QuantType(34, "TQ1_0", 256, 54),
    QuantType(35, "TQ2_0", 256, 66),
    QuantType(39, "MXFP4", 32, 17),
    QuantType(40, "NVFP4", 64, 36),
    QuantType(41, "Q1_0", 128, 18),
    QuantType(42, "Q2_0", 64, 18),
)

_BY_ID = {kind.id: kind for kind in _TYPES}
_BY_NAME = {kind.name: kind for kind in _TYPES}


def by_id(number: int) -> QuantType | None:
    """The type with this number in a tensor table, or None where ggml has none (any more)."""
    return _BY_ID.get(number)


def by_name(name: str) -> QuantType:
    """The type of this name, in any case: ``q8_0`` as llama.cpp's arguments write it.

    Raises:
        KeyError: There is no such type.
    """
    return _BY_NAME[name.upper()]
