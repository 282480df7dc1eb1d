"""Models in several files: ``name-00001-of-00003.gguf`` and its siblings, as one."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hgx.errors import ModelError
from hgx.gguf.header import Header, read_header

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


def read_parts(path: str | os.PathLike[str]) -> tuple[Header, ...]:
    """Read the headers of all files of a model, in order, whichever of them is named.

    Only the first part has the metadata of the model; each has the table of its own tensors.

    Args:
        path: A model in one file, or any part of a split one, the others lying next to it.

    Raises:
        ModelError: A part is missing or unreadable, or the parts contradict each other.
    """
    place = Path(path)

    def beside(names: Sequence[str]) -> list[Header]:
        _check_there(place, names)
        return [read_header(place.with_name(name)) for name in names]

    return join_parts(read_header(path), place.name, beside)


def join_parts(
    named: Header, file: str, beside: Callable[[Sequence[str]], Sequence[Header]]
) -> tuple[Header, ...]:
    """Return the headers of all files of a model, in order, one of which was read.

    Args:
        named: What was read.
        file: Name of its file, which says what the others are called.
        beside: Reads the headers of files next to it.

    Raises:
        ModelError: A part is missing or unreadable, or the parts contradict each other.
    """
    count = named.number("split.count") or 1
    if count == 1:
        return (named,)
    names = _names(named.name, file, count)
    others = iter(beside([name for name in names if name != file]))
    parts = tuple(named if name == file else next(others) for name in names)
    for number, part in enumerate(parts):
        _check_part(part, number, count)
    _check_tensors(parts)
    return parts


def _names(path: str, file: str, count: int) -> list[str]:
    match = _PART.fullmatch(file)
    if match is None:
        msg = (
            f"{path} is part of a model in {count} files but not named like one: "
            f"rename the parts to NAME-00001-of-{count:05}.gguf and so on"
        )
        raise ModelError(msg)
    if int(match["count"]) != count:
        msg = f"{path} says it is one of {count} files, against its name: download it again"
        raise ModelError(msg)
    return [f"{match['stem']}-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1)]


def _check_there(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in names if not path.with_name(name).exists()]
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
        msg = f"{path} is part of a model and {shown} is missing next to it: download it too"
        raise ModelError(msg)


def _check_part(part: Header, number: int, count: int) -> None:
    says = (part.number("split.no"), part.number("split.count"))
    if says != (number, count):
        msg = (
            f"{part.name} says it is part {says[0]} of {says[1]} (counted from 0) where part "
            f"{number} of {count} belongs: download it again"
        )
        raise ModelError(msg)


def _check_tensors(parts: tuple[Header, ...]) -> None:
    names = [tensor.name for part in parts for tensor in part.tensors]
    announced = parts[0].number("split.tensors.count")
    if announced is not None and announced != len(names):
        msg = (
            f"{parts[0].name} announces {announced} tensors and its {len(parts)} files have "
            f"{len(names)}: download all parts of one and the same model"
        )
        raise ModelError(msg)
    twice, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        msg = f"the parts of {parts[0].name} have the tensor {twice!a} twice: download them again"
        raise ModelError(msg)
