"""The workload: a model as the planner sees it, block by block.

Nothing here depends on how the model will be run. Context length, KV type and micro-batch enter
in ``hgx.gguf.memory``, which turns a workload into bytes.
"""

from __future__ import annotations

from hgx.core.base import Bytes, NonNegative, Strict


class KvShape(Strict):
    """What one block keeps for every token of every conversation, in elements.

    Attributes:
        k_width: Elements per token in the K cache; 0 where there is none.
        v_width: Elements per token in the V cache; 0 where there is none (MLA keeps only K).
        window: Tokens of a sliding window, or null where the whole context is attended to.
        state_bytes: Recurrent state in bytes per conversation, whatever its length.
    """

    k_width: int = 0
    v_width: int = 0
    window: int | None = None
    state_bytes: Bytes = 0


class Block(Strict):
    """One transformer layer, or the output head, which is the pseudo-layer after the last block.

    Attributes:
        weight_bytes: Bytes of its tensors by quantisation type (``{"Q4_K": 368640, ...}``).
        expert_bytes: Those of them that belong to routed experts; 0 in a dense block.
        expert_share: Part of the experts that one token uses, in 0..1; 1 in a dense block.
        flops_per_token: Floating point operations of its matrix products for one token, without
            attention over the context (2 per active weight).
        attention_flops: Floating point operations per token and per token of context.
        kv: What it keeps per token.
        scratch: Elements of four bytes that its intermediate results take per token at once; for
            the output head, what stands before the logits.
        scratch_apart: The same where its routed experts are computed elsewhere.
        expert_scratch: Such elements that these take there.
        handed: Such elements that a next device is given beside the hidden state.
        returned: Such elements that it gives back, because it was quicker to begin.
    """

    weight_bytes: dict[str, Bytes]
    expert_bytes: Bytes = 0
    expert_share: float = 1.0
    flops_per_token: NonNegative = 0.0
    attention_flops: NonNegative = 0.0
    kv: KvShape = KvShape()
    scratch: int = 0
    scratch_apart: int = 0
    expert_scratch: int = 0
    handed: int = 0
    returned: int = 0

    @property
    def total_weight_bytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(self.weight_bytes.values())


class Workload(Strict):
    """A model file, read: what each block weighs, computes and keeps.

    Attributes:
        path: File as it was named, the first part of a split model.
        files: Names of all its files, in order.
        architecture: ``general.architecture`` of the header.
        name: ``general.name``, or null.
        parameters: Number of weights, as the shapes of the tensors add up.
        file_bytes: Size of all its files.
        n_block: Number of blocks.
        n_embd: Width of the hidden state, in elements.
        n_vocab: Number of tokens in the vocabulary.
        n_ctx_train: Context length it was trained for, or null.
        n_head: Largest number of attention heads of a block.
        head_dim: Width of an attention head, in elements.
        n_ff: Largest feed-forward width of a block, in elements, per expert where there are any.
        n_expert_used: Experts that one token uses; 0 in a dense model.
        tied_embedding: Whether the output head uses the token embedding's weights.
        embedding_bytes: Bytes of the token embedding, which stays on the host.
        chat_template: Whether the file brings a chat template.
        blocks: One entry per block.
        output: The output head: its norm and projection.
    """

    path: str
    files: tuple[str, ...]
    architecture: str
    name: str | None
    parameters: int
    file_bytes: Bytes
    n_block: int
    n_embd: int
    n_vocab: int
    n_ctx_train: int | None
    n_head: int
    head_dim: int
    n_ff: int
    n_expert_used: int
    tied_embedding: bool
    embedding_bytes: Bytes
    chat_template: bool
    blocks: tuple[Block, ...]
    output: Block
