"""The lines of a pairing: JSON, one object each, bounded in size, and nothing unexpected inside."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from hgx.core.base import Strict

MOST_LINE_BYTES = 8192
"""No line is longer."""

PROTOCOL = 1
"""Version of all this; another one is not understood."""

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")]
_Element = Annotated[str, Field(pattern=r"^[0-9a-f]{66}$")]
_Tag = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Line = TypeVar("_Line", bound=BaseModel)

RefusalReason = Literal["version", "void", "hello"]
"""Why an attempt is not answered: another protocol; the code is used up or too old; no attempt."""


class Version(BaseModel):
    """What is read of a line that may be of a later version."""

    pair: int


class Hello(Strict):
    """The joining machine's first line; its message of SPAKE2 is in hex."""

    pair: Literal[1] = PROTOCOL
    name: _Name
    certificate: Annotated[str, Field(max_length=6000)]
    spake2: _Element


class Answer(Strict):
    """The offering machine's message of SPAKE2 and its proof that it has the same key."""

    name: _Name
    spake2: _Element
    confirm: _Tag


class Proof(Strict):
    """The joining machine's proof of the same, and that it holds its certificate's key."""

    confirm: _Tag
    signature: Annotated[str, Field(pattern=r"^([0-9a-f]{2}){1,256}$")]


class Done(Strict):
    """The offering machine's last line: it trusts the other one."""

    paired: Literal[True] = True


class Refusal(Strict):
    """What an offering machine says to whom it does not answer."""

    error: RefusalReason


def write(said: Strict) -> bytes:
    """Put something into a line."""
    return said.model_dump_json().encode() + b"\n"


def read(kind: type[_Line], line: bytes) -> _Line | None:
    """Read a line from anybody; null where it is another one."""
    try:
        return kind.model_validate_json(line)
    except ValidationError:
        return None
