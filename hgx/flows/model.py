"""Reading a model, wherever it lies: a file of this machine, or one of a web server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hgx.gguf.workload import read_workload, workload_of
from hgx.net.model_address import is_address, parse_address

if TYPE_CHECKING:
    from hgx.core.workload import Workload


def read_model(path: str | os.PathLike[str]) -> Workload:
    """Read what a model is like from the headers of its files; nothing else of it is read.

    Args:
        path: A GGUF file, or any part of a model split into several; or the address of one, as
            ``https://HOST/FILE.gguf``, ``http://`` likewise, or ``hf://OWNER/REPO[@REVISION]/FILE``
            in the model hub at ``HF_ENDPOINT``, which is shown ``HF_TOKEN``.

    Returns:
        Sizes in bytes as the tensors really have them, widths in elements.

    Raises:
        ModelError: It is missing, damaged, cut short, or of an architecture hgx does not know; or
            its server is not reached, refuses, or contradicts itself.
    """
    name = os.fspath(path)
    if not is_address(name):
        return read_workload(name)
    # Imported here, because that takes longer than reading a file does.
    from hgx.net.http_source import read_remote_parts  # noqa: PLC0415 - see above

    return workload_of(read_remote_parts(parse_address(name)))
