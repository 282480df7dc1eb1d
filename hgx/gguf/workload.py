"""From the header of a model file to a workload: what each block weighs, computes and keeps."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from hgx.core.workload import Block, Workload
from hgx.gguf.crossing import crossings
from hgx.gguf.hyper import Hyper
from hgx.gguf.scratch import block_scratch, expert_scratch, head_scratch
from hgx.gguf.shapes import BlockShape, block_shapes
from hgx.gguf.split import read_parts
from hgx.gguf.widths import block_widths, rows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from hgx.gguf.header import Header, TensorInfo
    from hgx.gguf.scratch import Widths

_BLOCK: Final = re.compile(r"blk\.(\d{1,4})\.(.+)", re.DOTALL)

_INPUT: Final = ("token_embd.", "position_embd.", "token_types.", "per_layer_token_embd.")
"""Tensors that llama.cpp leaves on the host: tables of which a token needs one row."""

_FIRST_BLOCK: Final = ("token_embd_norm.", "rope_", "per_layer_model_proj.", "per_layer_proj_norm.")
"""Tensors without a block number that llama.cpp puts where block 0 is."""

_EMBEDDING: Final = "token_embd.weight"
_HEAD: Final = "output.weight"

_HOST: Final = -1


def read_workload(path: str | os.PathLike[str]) -> Workload:
    """Read a model file as the planner sees it.

    Args:
        path: A GGUF file, or any part of a model split into several.

    Returns:
        Sizes in bytes as the tensors really have them, widths in elements.

    Raises:
        ModelError: It is missing, damaged, cut short, or of an architecture hgx does not know.
    """
    return workload_of(read_parts(path))


def workload_of(parts: Sequence[Header]) -> Workload:
    """Return the workload that the headers of a model describe.

    Blocks that only predict further tokens (MTP, ``nextn_predict_layers``) are not loaded by
    llama.cpp unless asked, but counted when it places layers: they are there as blocks of nothing.

    Args:
        parts: Of all its files, in order.

    Raises:
        ModelError: They contradict themselves, or are of an architecture hgx does not know.
    """
    hyper = Hyper(parts[0])
    tensors = {tensor.name: tensor for part in parts for tensor in part.tensors}
    embedding = tensors.get(_EMBEDDING)
    if embedding is None:
        hyper.fail("it has no token embedding")
    places = _place(hyper, tensors.values())
    shapes = block_shapes(hyper)
    widths = tuple(
        block_widths(hyper, shape, places[index], index) for index, shape in enumerate(shapes)
    )
    tied = _HEAD not in tensors
    head = [*places[hyper.n_block], embedding] if tied else places[hyper.n_block]
    return Workload(
        path=parts[0].name,
        files=tuple(part.name for part in parts),
        architecture=hyper.name,
        name=parts[0].text("general.name"),
        parameters=sum(tensor.elements for tensor in tensors.values()),
        file_bytes=sum(part.file_bytes for part in parts),
        n_block=hyper.n_block,
        n_embd=hyper.required("embedding_length"),
        n_vocab=math.prod(embedding.shape[1:]),
        n_ctx_train=hyper.scalar("context_length") or None,
        n_head=max(shape.n_head for shape in shapes),
        head_dim=max(shape.head_k for shape in shapes),
        n_ff=_ff_width(tensors.values()),
        n_expert_used=max(hyper.per_block("expert_used_count")),
        tied_embedding=tied,
        embedding_bytes=sum(tensor.size for tensor in places[_HOST]),
        chat_template=parts[0].has("tokenizer.chat_template"),
        blocks=_blocks(hyper, shapes, places, widths),
        output=Block(
            weight_bytes=_by_type(head),
            flops_per_token=2.0 * _matrices(head),
            scratch=head_scratch(widths),
        ),
    )


def _place(hyper: Hyper, tensors: Iterable[TensorInfo]) -> defaultdict[int, list[TensorInfo]]:
    """Sort tensors by block, the output head's under the number of blocks, the host's under -1."""
    places: defaultdict[int, list[TensorInfo]] = defaultdict(list)
    for tensor in tensors:
        match = _BLOCK.fullmatch(tensor.name)
        if match is not None:
            index = int(match[1])
            if index >= hyper.n_block:
                hyper.fail(f"the tensor {tensor.name!a} is of no block, there are {hyper.n_block}")
        elif tensor.name.startswith(_INPUT):
            index = _HOST
        else:
            index = 0 if tensor.name.startswith(_FIRST_BLOCK) else hyper.n_block
        places[index].append(tensor)
    return places


def _blocks(
    hyper: Hyper,
    shapes: tuple[BlockShape, ...],
    places: defaultdict[int, list[TensorInfo]],
    widths: tuple[Widths, ...],
) -> tuple[Block, ...]:
    trunk = [
        _block(hyper, shape, places[index], index).model_copy(
            update={**_scratch(widths[index]), **crossing._asdict()}
        )
        for index, (shape, crossing) in enumerate(zip(shapes, crossings(widths), strict=True))
    ]
    return (*trunk, *[Block(weight_bytes={})] * (hyper.n_block - hyper.n_trunk))


def _scratch(widths: Widths) -> dict[str, int]:
    """What the intermediate results of a block take, by field."""
    whole = block_scratch(widths)
    if not widths.expert_ff:
        return {"scratch": whole, "scratch_apart": whole}
    return {
        "scratch": whole,
        "scratch_apart": block_scratch(widths._replace(experts_apart=True)),
        "expert_scratch": expert_scratch(widths),
    }


def _block(hyper: Hyper, shape: BlockShape, tensors: list[TensorInfo], index: int) -> Block:
    used, total = hyper.per_block("expert_used_count")[index], hyper.scalar("expert_count")
    experts = [tensor for tensor in tensors if "exps." in tensor.name]
    if experts and not 0 < used <= total:
        hyper.fail(f"a token uses {used} of {total} experts")
    share = used / total if experts else 1.0
    active = _matrices(tensors) - (1.0 - share) * _matrices(experts)
    return Block(
        weight_bytes=_by_type(tensors),
        expert_bytes=sum(tensor.size for tensor in experts),
        expert_share=share,
        flops_per_token=2.0 * active,
        attention_flops=2.0 * shape.n_head * (shape.head_k + shape.head_v),
        kv=shape.kv,
    )


def _ff_width(tensors: Iterable[TensorInfo]) -> int:
    everything = list(tensors)
    return rows(everything, ".ffn_down_exps.weight") or rows(everything, ".ffn_down.weight")


def _by_type(tensors: Iterable[TensorInfo]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for tensor in tensors:
        total[tensor.type.name] += tensor.size
    return dict(total)


def _matrices(tensors: Iterable[TensorInfo]) -> int:
    """Elements of the weights that a token is multiplied with; norms and biases are vectors."""
    return sum(it.elements for it in tensors if it.name.endswith(".weight") and len(it.shape) > 1)
