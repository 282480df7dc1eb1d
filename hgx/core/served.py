"""A served request: what was predicted of it, and what was measured."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, Field

from hgx.core.base import Bytes, Identifier, Rate, Seconds, Strict
from hgx.core.options import KvType

if TYPE_CHECKING:
    from hgx.core.registry import Device

Count = Annotated[int, Field(ge=0)]


class ServedStage(Strict):
    """A stage of the placement that served, and what its device was predicted to take.

    Attributes:
        device: Its id.
        first_block: First block on it.
        last_block: Last block on it, itself included.
        rates: ``rates_key`` of the device at that time: what was learnt of other rates does not
            hold for these.
        decode_s: Seconds per token, without the wire and without any correction.
        prefill_s: Seconds for the prompt, likewise.
    """

    device: Identifier
    first_block: Count
    last_block: Count
    rates: Identifier
    decode_s: Seconds
    prefill_s: Seconds


class Expected(Strict):
    """Times to expect: time to first token, and per output token."""

    ttft_s: Rate
    tpot_s: Rate


class Measured(Strict):
    """Times as they were; null where nothing was measured, as of an answer of one token."""

    ttft_s: Rate | None
    tpot_s: Rate | None


class ServedRequest(Strict):
    """One request that was answered.

    Attributes:
        at: When the answer ended.
        model: Name of the model.
        architecture: As its header says.
        file_bytes: Size of its files.
        ctx: Context of one conversation, in tokens.
        parallel: Conversations that were answered at the same time.
        kv_type: Type of the KV cache.
        prompt_tokens: Length of the prompt.
        cached_tokens: Those of them that were in the cache and not computed again.
        output_tokens: Length of the answer.
        predicted: Without any correction, so that corrections do not feed on themselves.
        promised: With the corrections of that time: what the user was told.
        measured: What came of it.
        stages: The placement, in pipeline order.
    """

    at: AwareDatetime
    model: str
    architecture: str
    file_bytes: Bytes
    ctx: Count
    parallel: Count
    kv_type: KvType
    prompt_tokens: Count
    cached_tokens: Count
    output_tokens: Count
    predicted: Expected
    promised: Expected
    measured: Measured
    stages: Annotated[tuple[ServedStage, ...], Field(min_length=1)]

    @property
    def fresh_tokens(self) -> int:
        """Tokens of the prompt that had to be computed."""
        return max(0, self.prompt_tokens - self.cached_tokens)


def rates_key(device: Device) -> str:
    """Name the rates that predictions for a device rest on: equal for equal rates.

    Where the engine measured the device, its bandwidth plays hardly any part and may be measured
    anew, as every discovery does with a busy device.
    """
    if device.engine and device.engine.types:
        rates = device.engine.model_dump(mode="json", exclude={"engine", "measured_at"})
    else:
        rates = [device.memory_bandwidth_bytes_per_s, device.compute_flops_per_s]
    return hashlib.sha256(json.dumps(rates, sort_keys=True).encode()).hexdigest()[:16]
