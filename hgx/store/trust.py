"""Which peers this machine trusts: a list of pinned certificates, no authority."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from hgx.core.base import Document
from hgx.errors import StorageError
from hgx.store.atomic import shown_path, storage_error

if TYPE_CHECKING:
    from hgx.store.home import Home


class _Peer(Document):
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    name: str | None = None


class _Trusted(Document):
    version: Literal[1]
    peers: tuple[_Peer, ...]


def trusted(home: Home) -> frozenset[str]:
    """Return the fingerprints of the peers that were paired; none where none ever was.

    They are in ``trusted.json``: ``{"version": 1, "peers": [{"fingerprint": ..., "name": ...}]}``.

    Args:
        home: Where the file is.

    Raises:
        StorageError: The file is damaged or cannot be read; nobody is trusted by a part of it.
    """
    path = home.path / "trusted.json"
    try:
        text = path.read_text(encoding="utf-8-sig")
        # From text, because only there a strict tuple may be written as a JSON array.
        peers = _Trusted.model_validate_json(text).peers
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise storage_error("read", path, error) from error
    except (UnicodeDecodeError, ValidationError) as error:
        msg = (
            f"{shown_path(path)} is damaged{_place(error)}: put back a copy, or delete it and "
            "pair the peers again"
        )
        raise StorageError(msg) from error
    return frozenset(peer.fingerprint for peer in peers)


def _place(error: UnicodeDecodeError | ValidationError) -> str:
    """Name the field that is wrong, where the file was JSON at all."""
    if isinstance(error, UnicodeDecodeError):
        return " (it is not UTF-8)"
    places = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
    field = ".".join(str(part) for part in places)
    return f" at {json.dumps(field)}" if field else " (it is not JSON of the right form)"
