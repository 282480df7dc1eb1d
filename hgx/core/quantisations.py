"""Several quantisations of one model side by side, and which of them is the best to run."""

from __future__ import annotations

from typing import Literal

from hgx.core.base import Bytes, Document, NonNegative, Seconds, Strict
from hgx.core.plan import Plan, Predicted, Status


class Quantisation(Strict):
    """One file, planned.

    Attributes:
        path: File as it was named.
        file_bytes: Its size.
        bits_per_weight: Its size by the number of its weights.
        status: Of its plan; null where time ended the search before anything was found.
        predicted: What its plan promises, or null.
        meets: Whether that is as fast as was wished.
        lacks: Why there is no plan, in a sentence; null where there is one.
    """

    path: str
    file_bytes: Bytes
    bits_per_weight: NonNegative
    status: Status | None
    predicted: Predicted | None
    meets: bool
    lacks: str | None = None


class Selection(Document):
    """Which of several quantisations is the best that is fast enough.

    Attributes:
        tokens_per_s: The wished speed.
        max_ttft_s: Longest time to the first token, or null where it does not matter.
        quantisations: All of them, the one with most bits per weight first.
        best: Path of the first that meets the wish, or null.
        plan: Its plan, or null.
    """

    version: Literal[1] = 1
    tokens_per_s: NonNegative
    max_ttft_s: Seconds | None
    quantisations: tuple[Quantisation, ...]
    best: str | None
    plan: Plan | None
