"""Addresses of models: what is one, where it leads, and who is shown a secret."""

from __future__ import annotations

import pytest

from hgx.errors import ModelError
from hgx.net.model_address import is_address, parse_address

HUB = "https://huggingface.co"


@pytest.mark.parametrize("name", ["https://a/b", "HF://a/b/c", "ftp://a", "s3+x://a"])
def test_what_has_a_scheme_is_an_address(name: str) -> None:
    """Of whatever scheme: those that hgx does not read are refused as such, not as files."""
    assert is_address(name)


@pytest.mark.parametrize("name", ["model.gguf", "/a/b://c", "C://model.gguf", "demo", "a:b"])
def test_what_has_none_is_a_path(name: str) -> None:
    """A path of Windows is one, too."""
    assert not is_address(name)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("hf://o/r/m.gguf", f"{HUB}/o/r/resolve/main/m.gguf"),
        ("HF://o/r.1/q4/my m.gguf", f"{HUB}/o/r.1/resolve/main/q4/my%20m.gguf"),
        ("hf://o/r@v1.0/m.gguf", f"{HUB}/o/r/resolve/v1.0/m.gguf"),
        ("hf://o/r@refs%2Fpr%2F1/m%20.gguf", f"{HUB}/o/r/resolve/refs%2Fpr%2F1/m%20.gguf"),
        ("http://host:81/m.gguf?a=b/c#d", "http://host:81/m.gguf?a=b/c"),
        ("https://[::1]/m.gguf", "https://[::1]/m.gguf"),
    ],
)
def test_where_an_address_leads(name: str, url: str) -> None:
    """A name in the hub is a file of a branch, main where none is named."""
    address = parse_address(name, {})
    assert (address.url, address.authorization) == (url, None)
    assert address.name == name.partition("#")[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ftp://host/m.gguf", "begins with ftp://: hgx reads models at https://"),
        ("file:///m.gguf", "begins with file://"),
        ("https:///m.gguf", "not an address of the web"),
        ("https://host:port/m.gguf", "not an address of the web"),
        ("https://[::1/m.gguf", "not an address of the web"),
        ("https://host/a\nb.gguf", "characters that no address has"),
        ("hf://owner/m.gguf", "is not hf://OWNER/REPO/FILE.gguf"),
        ("hf://o/r/", "is not hf://OWNER/REPO/FILE.gguf"),
        ("hf://o/r@/m.gguf", "is not hf://OWNER/REPO/FILE.gguf"),
        ("hf://o/r/../m.gguf", "is not hf://OWNER/REPO/FILE.gguf"),
        ("hf://../r/m.gguf", "is not hf://OWNER/REPO/FILE.gguf"),
        ("hf://o/r/m.gguf?x", "is not hf://OWNER/REPO/FILE.gguf"),
    ],
)
def test_what_leads_nowhere_is_an_error(name: str, message: str) -> None:
    """One line that says what an address looks like."""
    with pytest.raises(ModelError, match=message) as caught:
        parse_address(name, {})
    assert "\n" not in caught.value.message


def test_the_environment_names_the_hub() -> None:
    """A mirror takes the hub's place, and is shown the token; the hub is not, then."""
    environ = {"HF_ENDPOINT": "http://mirror:8080/hf/ ", "HF_TOKEN": " secret\n"}
    address = parse_address("hf://o/r/m.gguf", environ)
    assert address.url == "http://mirror:8080/hf/o/r/resolve/main/m.gguf"
    assert address.authorization == "Bearer secret"
    assert parse_address(f"{HUB}/m.gguf", environ).authorization is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("hf://o/r/m.gguf", True),
        (f"{HUB}/o/r/resolve/main/m.gguf", True),
        (f"{HUB}:443/m.gguf", True),
        ("http://huggingface.co/m.gguf", False),
        (f"{HUB}:444/m.gguf", False),
        (f"{HUB}.evil.example/m.gguf", False),
        ("https://evil.example/huggingface.co/m.gguf", False),
    ],
)
def test_only_the_hub_is_shown_the_token(name: str, *, shown: bool) -> None:
    """Scheme, host and port have to be the hub's."""
    address = parse_address(name, {"HF_TOKEN": "secret"})
    assert address.authorization == ("Bearer secret" if shown else None)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"HF_ENDPOINT": "mirror"}, "HF_ENDPOINT is not an address of the web"),
        ({"HF_TOKEN": "two\nlines"}, "HF_TOKEN has characters that no token has"),
    ],
)
def test_an_environment_that_cannot_be_used(environ: dict[str, str], message: str) -> None:
    """The variable is named, and a token is not shown."""
    with pytest.raises(ModelError, match=message) as caught:
        parse_address("hf://o/r/m.gguf", environ)
    assert "lines" not in caught.value.message


def test_a_password_is_not_part_of_the_name() -> None:
    """It becomes a header, so that neither messages nor plans have it."""
    address = parse_address("https://me:p%40ss@host:444/m.gguf?x=1", {"HF_TOKEN": "secret"})
    assert address.name == address.url == "https://host:444/m.gguf?x=1"
    assert address.authorization == "Basic bWU6cEBzcw=="


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("https://h/d/a.gguf", "https://h/d/b.gguf"),
        ("https://h/d/a.gguf?sig=/x.gguf", "https://h/d/b.gguf?sig=/x.gguf"),
        ("hf://o/r@v/d/a.gguf", "hf://o/r@v/d/b.gguf"),
    ],
)
def test_siblings_lie_in_the_same_folder(name: str, other: str) -> None:
    """Only the name of the file changes, in what is shown and in what is asked."""
    address = parse_address(name, {})
    assert address.file == "a.gguf"
    assert address.sibling("b.gguf") == parse_address(other, {})
