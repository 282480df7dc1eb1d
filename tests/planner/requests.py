"""Served requests as the ledger has them, made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hgx.core.served import Expected, Measured, ServedRequest, ServedStage, rates_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.registry import Device

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def request(
    parts: Sequence[tuple[Device, float]],
    *,
    tpot_s: float | None,
    rest_s: float = 0.0,
    ttft_s: float | None = None,
    prompt: int = 100,
    cached: int = 0,
    output: int = 50,
    age_s: float = 0.0,
    model: str = "a model",
) -> ServedRequest:
    """A request of devices that were predicted to take so long, and ten times that for the prompt.

    Args:
        parts: Devices with their seconds per token, in pipeline order.
        tpot_s: What a token took.
        rest_s: Seconds per token on the wire.
        ttft_s: What the prompt took.
        prompt: Its tokens.
        cached: Those of them that were cached.
        output: Tokens of the answer.
        age_s: How long before noon.
        model: Name of the model.
    """
    total = sum(seconds for _, seconds in parts) + rest_s
    expected = Expected(ttft_s=10 * total, tpot_s=total)
    return ServedRequest(
        at=NOON - timedelta(seconds=age_s),
        model=model,
        architecture="llama",
        file_bytes=240_000_000,
        ctx=4096,
        parallel=1,
        kv_type="f16",
        prompt_tokens=prompt,
        cached_tokens=cached,
        output_tokens=output,
        predicted=expected,
        promised=expected,
        measured=Measured(ttft_s=ttft_s, tpot_s=tpot_s),
        stages=tuple(
            ServedStage(
                device=device.id,
                first_block=at,
                last_block=at,
                rates=rates_key(device),
                decode_s=seconds,
                prefill_s=10 * seconds,
            )
            for at, (device, seconds) in enumerate(parts)
        ),
    )
