"""Several processes at one registry: no update is lost and no reader sees half a file."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

from hgx.core.registry import Node, Registry
from hgx.store.registry_file import load_registry, update_registry

if TYPE_CHECKING:
    from pathlib import Path

WRITERS, READERS, UPDATES = 3, 2, 15


def _add_nodes(path: Path, writer: int) -> None:
    for number in range(UPDATES):
        node = Node(id=f"{writer}-{number}", name="x" * 3000)
        update_registry(path, lambda old, new=node: Registry(nodes=(*old.nodes, new)))


def _watch_nodes(path: Path) -> None:
    seen = 0
    while seen < WRITERS * UPDATES:
        count = len(load_registry(path).nodes)
        assert count >= seen
        seen = count


def test_writers_and_readers_at_once(tmp_path: Path) -> None:
    """While processes write, every read is a whole registry that only grows; none is lost."""
    path = tmp_path / "registry.json"
    update_registry(path, lambda old: old)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_nodes, args=(path, n)) for n in range(WRITERS)]
    processes += [context.Process(target=_watch_nodes, args=(path,)) for _ in range(READERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)
    assert len(load_registry(path).nodes) == WRITERS * UPDATES
    assert {file.name for file in tmp_path.iterdir()} <= {path.name, f"{path.name}.lock"}
