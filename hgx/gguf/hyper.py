"""The metadata of one architecture, checked on the way out: whole numbers of zero or more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from hgx.errors import ModelError
from hgx.gguf.arch import Arch, find_arch

if TYPE_CHECKING:
    from hgx.gguf.header import Header

MAX_BLOCKS: Final = 512
"""Most blocks llama.cpp allows."""


class Hyper:
    """The metadata of one model, by keys without the prefix of its architecture.

    Args:
        header: The header of the model, of a split one the first part's.

    Attributes:
        name: ``general.architecture``.
        arch: What is known of that architecture.
        n_block: Number of blocks, those included that only predict further tokens.
        n_trunk: Number of blocks that every token passes through.

    Raises:
        ModelError: The architecture is missing or unknown, or the number of blocks is absurd.
    """

    def __init__(self, header: Header) -> None:
        name = header.text("general.architecture")
        if name is None:
            msg = f"{header.name} does not say its architecture: name the .gguf file of a model"
            raise ModelError(msg)
        self._header: Final = header
        self.name: Final = name
        self.arch: Final[Arch] = find_arch(name, header.name)
        self.n_block: Final = self.required("block_count")
        self.n_trunk: Final = self.n_block - self.scalar("nextn_predict_layers")
        if not 0 < self.n_trunk <= self.n_block <= MAX_BLOCKS:
            self.fail(f"it has {self.n_block} blocks of which {self.n_trunk} see every token")

    def fail(self, what: str) -> NoReturn:
        """Raise a ``ModelError`` that says what is wrong with the metadata."""
        msg = f"{self._header.name} contradicts itself: {what}; download it again"
        raise ModelError(msg)

    def required(self, key: str) -> int:
        """A number that every file of the architecture has."""
        if not self.has(key):
            msg = f"{self._header.name} lacks {self.name}.{key}: download or convert it again"
            raise ModelError(msg)
        return self.scalar(key)

    def has(self, key: str) -> bool:
        """Whether the file has this key."""
        return self._header.has(f"{self.name}.{key}")

    def scalar(self, key: str, default: int = 0) -> int:
        """A number that is the same for all blocks."""
        if not self.has(key):
            return default
        value = self._header.number(f"{self.name}.{key}")
        if value is None or value < 0:
            self.fail(f"{self.name}.{key} is not a whole number")
        return value

    def listed(self, key: str) -> tuple[int, ...] | None:
        """A number or flag per block, or None where the file does not list it block by block."""
        values = self._header.numbers(f"{self.name}.{key}")
        if values is None:
            return None
        whole = tuple(int(value) for value in values if isinstance(value, int) and value >= 0)
        if len(whole) != len(values) or len(whole) < self.n_trunk:
            self.fail(f"{self.name}.{key} does not list {self.n_trunk} blocks")
        return whole

    def per_block(self, key: str, default: int = 0) -> tuple[int, ...]:
        """A number per block that every token passes through, given once or block by block."""
        listed = self.listed(key)
        return (self.scalar(key, default),) * self.n_trunk if listed is None else listed
