"""The directory where everything hgx keeps lives, and the identity of this machine in it."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from hgx.errors import StorageError
from hgx.store.atomic import is_there, shown_path, storage_error, write_atomically

_NODE_ID = re.compile(r"[A-Za-z0-9._-]{1,63}")


def _default_path() -> Path:
    """Return HGX_HOME, or the user's data directory where it is not set."""
    given = os.environ.get("HGX_HOME")
    return Path(given) if given else user_data_path("hgx", appauthor=False)


@dataclass(frozen=True)
class Home:
    """A place on disk for all that hgx keeps; several may exist side by side on one machine.

    Attributes:
        path: The directory. Default: HGX_HOME, else the user's data directory. It need not exist.
    """

    path: Path

    def __init__(self, path: Path | None = None) -> None:
        object.__setattr__(self, "path", (path or _default_path()).expanduser().absolute())

    @property
    def registry(self) -> Path:
        """The registry of nodes, devices and links."""
        return self.path / "registry.json"

    @property
    def node_file(self) -> Path:
        """The file that holds the id of this machine."""
        return self.path / "node.json"

    @property
    def models(self) -> Path:
        """The directory of models that hgx put together or fetched itself."""
        return self.path / "models"

    @property
    def logs(self) -> Path:
        """The directory of what supervised programs print."""
        return self.path / "logs"

    def create(self) -> None:
        """Make the directory if it is not there.

        Raises:
            StorageError: It is a file, or the place is not writable.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error("create", self.path, error) from error

    def node_id(self) -> str:
        """Return the id of this machine: the one that was kept, else one from the host name.

        Raises:
            StorageError: The node file cannot be read or holds no usable id.
        """
        try:
            text = self.node_file.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return id_from_host_name(platform.node())
        except UnicodeDecodeError:
            text = ""
        except OSError as error:
            raise storage_error("read", self.node_file, error) from error
        return self._parse_node_id(text)

    def keep_node_id(self) -> str:
        """Return the id of this machine and write it down, so that a new host name keeps it.

        Raises:
            StorageError: The node file is damaged, or the place is not writable.
        """
        node = self.node_id()
        if not is_there(self.node_file):
            self.create()
            write_atomically(self.node_file, json.dumps({"id": node}) + "\n")
        return node

    def _parse_node_id(self, text: str) -> str:
        try:
            match json.loads(text):
                case {"id": str(node)} if _NODE_ID.fullmatch(node):
                    return node
                case _:
                    pass
        except (ValueError, RecursionError):
            pass
        msg = (
            f'{shown_path(self.node_file)} should hold {{"id": "NAME"}}, NAME of letters, digits, '
            "dots, hyphens and underscores: correct it, or delete it to use the host name"
        )
        raise StorageError(msg)


def id_from_host_name(host: str) -> str:
    """Make a node id of a host name: its first label in lower case, ``[a-z0-9-]`` only.

    Args:
        host: As the system gives it, perhaps with a domain, perhaps empty.

    Returns:
        At most 63 characters; ``node`` where nothing usable is left.
    """
    label = host.partition(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", label).strip("-")[:63].rstrip("-") or "node"
