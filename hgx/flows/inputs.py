"""What users name on the command line, found: models and registries."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hgx.engine.demo import TERMS, demo_model_path, terms_file
from hgx.errors import ModelError
from hgx.flows.discover import discover
from hgx.net.model_address import is_address, parse_address
from hgx.store.atomic import is_there
from hgx.store.registry_file import load_registry

if TYPE_CHECKING:
    from hgx.core.registry import Registry
    from hgx.store.home import Home

DEMO = "demo"
"""The word that stands for the demo model wherever a model file is asked for."""

_PART = re.compile(r"-\d{5}-of-\d{5}$")


class Model(NamedTuple):
    """A model file, what it is called in answers, and what a user must be told about it."""

    path: Path
    alias: str
    notes: tuple[str, ...] = ()


def find_model(name: str, home: Home) -> Model:
    """Turn what the user named into a file; the demo model is put together if need be.

    Args:
        name: A path, or ``demo``.
        home: Where the demo model is kept.

    Raises:
        ModelError: It is an address, and a model that runs must be a file.
        Unavailable: The demo model is not installed.
        StorageError: There is no place for it.
    """
    if is_address(name):
        url = shlex.quote(parse_address(name).url)
        msg = (
            f"{name} is an address, and llama.cpp needs the model as a file of this machine: "
            f"download all its files, such as with `curl -LO {url}`, and name the first"
        )
        raise ModelError(msg)
    if name != DEMO:
        path = Path(name)
        return Model(path, _PART.sub("", path.stem) or path.name)
    copy = terms_file()
    terms = f"{TERMS} (copy: {copy})" if copy else TERMS
    return Model(demo_model_path(home.models), DEMO, (terms,))


def find_header(name: str, home: Home) -> str | Path:
    """Turn what the user named into what ``read_model`` reads: a file, or an address as it is.

    Raises:
        Unavailable: The demo model is not installed.
        StorageError: There is no place for it.
    """
    return name if is_address(name) else find_model(name, home).path


def find_registry(home: Home, devices: Path | None) -> Registry:
    """Read the registry; where the home has none yet, find and measure this machine's devices.

    Args:
        home: Where the default registry is.
        devices: Another registry, which must exist.

    Raises:
        RegistryError: The registry is missing or damaged.
    """
    if devices is None and not is_there(home.registry):
        return discover(home).registry
    return load_registry(devices or home.registry)
