"""A check of ``hgx doctor`` as data; and checks made at the same time, none able to stop others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from hgx.errors import HgxError, PeerError, Unavailable
from hgx.process.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Area = Literal["place", "permissions", "engines", "drivers", "ports", "peers"]
"""What checks are about, in the order in which it makes sense to mend it."""

State = Literal["ok", "note", "warning", "fault"]
"""What came of a check, from good to bad. A warning: hgx works, with less than there is. A fault:
something is broken or unsafe."""


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        area: What it is about.
        what: What it is, in a word or two.
        state: What came of it.
        found: What was seen, a sentence without its full stop.
        remedy: What to do about it, in the imperative; null where there is nothing to do.
    """

    area: Area
    what: str
    state: State
    found: str
    remedy: str | None = None


class Part(NamedTuple):
    """A call that makes checks.

    Attributes:
        area: What they are about.
        what: What a fault is about where the call gives none.
        call: Makes them. What it raises of hgx's errors becomes a fault.
        limit_s: Seconds after which it is not waited for any longer.
    """

    area: Area
    what: str
    call: Callable[[], Sequence[Check]]
    limit_s: float = 30.0


def run_parts(parts: Sequence[Part]) -> tuple[Check, ...]:
    """Make checks at the same time, and return them in the order of their parts.

    One that crashes or hangs is a fault that says so, and takes no other with it.
    """
    began_s = time.monotonic()
    running = [(part, Background(part.call)) for part in parts]
    return tuple(
        check
        for part, work in running
        for check in _checks(part, work, began_s + part.limit_s - time.monotonic())
    )


def failed(
    area: Area, what: str, error: HgxError, *, state: State = "fault", remedy: str | None = None
) -> Check:
    """Turn an error into a check.

    Args:
        area: What the check is about.
        what: Likewise.
        error: Its message becomes what was found.
        state: How bad it is.
        remedy: What to do; what the error itself says where null.
    """
    if isinstance(error, Unavailable | PeerError):
        return Check(area, what, state, error.reason, remedy or error.remedy)
    found, told = (error.message, None) if remedy else split(error.message)
    return Check(area, what, state, found, remedy or told)


def split(sentence: str) -> tuple[str, str | None]:
    """Split a sentence of hgx into what is wrong and, after the last colon, what to do."""
    found, colon, remedy = sentence.rpartition(": ")
    return (found, remedy) if colon else (sentence, None)


def _checks(part: Part, work: Background[Sequence[Check]], left_s: float) -> Sequence[Check]:
    if not work.wait(max(0.0, left_s)):
        found = f"this check did not end within {part.limit_s:g} s, so something hangs"
        remedy = "run `hgx doctor` again; restart the machine where it hangs again"
        return [Check(part.area, part.what, "fault", found, remedy)]
    try:
        return work.result()
    except HgxError as error:
        return [failed(part.area, part.what, error)]
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        found = f"it cannot be looked at: {(error.strerror or str(error)).lower()}{where}"
        return [Check(part.area, part.what, "fault", found, "check the permissions there")]
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
        found = f"this check itself failed ({type(error).__name__}: {error})"
        return [Check(part.area, part.what, "fault", found, "report it, with this sentence")]
