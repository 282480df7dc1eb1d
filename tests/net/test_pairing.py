"""What both sides of a pairing say, and what happens to whoever changes or repeats it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.errors import PeerError
from hgx.net.pairing import DONE, LASTS_S, Attempt, Offer, Own, Refused
from hgx.net.pairing_code import PairingCode, new_code, parse_code
from hgx.net.pairing_lines import MOST_LINE_BYTES
from hgx.net.proof import own_certificate
from tests.net.certificates import made, node_at, pem_of

if TYPE_CHECKING:
    from pathlib import Path

CODE = parse_code("7-velvet-otter")
OTHER_CODE = parse_code("7-velvet-onion")


class Two(NamedTuple):
    """Two machines that do not know each other yet, and a third that listens."""

    tower: Own
    laptop: Own
    eve: Own


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Machines with identities."""
    homes = tmp_path_factory.mktemp("homes")
    names = ("tower", "laptop", "eve")
    return Two(*(Own(name, node_at(homes / name)) for name in names))


def offering(own: Own, code: PairingCode = CODE, **options: Any) -> Offer:
    """Show a code."""
    return Offer(code, own, **options)


def attempting(own: Own, shown: Own, code: PairingCode = CODE) -> Attempt:
    """Type a code; TLS shows the certificate of the other."""
    return Attempt(code, own, own_certificate(shown.identity), "tower:9475")


def changed(line: bytes, **fields: object) -> bytes:
    """Return a line with other fields."""
    return json.dumps(json.loads(line) | fields).encode() + b"\n"


def test_both_know_each_other(two: Two) -> None:
    """With the same code each learns the other's name and certificate, and both the same words."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.tower)
    answer = offer.answer(attempt.hello)
    proof = attempt.prove(answer)
    laptop, tower = offer.finish(proof), attempt.finish(DONE)
    assert (laptop.name, laptop.fingerprint) == ("laptop", two.laptop.identity.fingerprint)
    assert (tower.name, tower.fingerprint) == ("tower", two.tower.identity.fingerprint)
    assert laptop.certificate == pem_of(two.laptop.identity)
    assert tower.certificate == pem_of(two.tower.identity)
    assert laptop.words == tower.words
    assert len(laptop.words.split()) == 4
    assert max(map(len, (attempt.hello, answer, proof, DONE))) < MOST_LINE_BYTES


def test_words_are_new_each_time(two: Two) -> None:
    """Words to compare are of that one exchange."""
    words: set[str] = set()
    for _ in range(3):
        offer, attempt = offering(two.tower), attempting(two.laptop, two.tower)
        words.add(offer.finish(attempt.prove(offer.answer(attempt.hello))).words)
    assert len(words) == 3


def test_wrong_code(two: Two) -> None:
    """With another code neither trusts the other, and the joining machine proves nothing."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.tower, OTHER_CODE)
    with pytest.raises(PeerError, match="tower:9475 has another code") as caught:
        attempt.prove(offer.answer(attempt.hello))
    assert caught.value.fault == "code"
    with pytest.raises(PeerError, match="broke the pairing off"):
        attempt.finish(DONE)
    with pytest.raises(PeerError, match="somebody tried to pair without the code"):
        offer.finish(b"")


def test_wrong_code_and_a_bold_proof(two: Two) -> None:
    """Who has another code and goes on all the same proves nothing either."""
    offer = offering(two.tower)
    attempt = attempting(two.eve, two.tower, OTHER_CODE)
    twin = offering(two.tower, OTHER_CODE)
    offer.answer(attempt.hello)
    proof = attempt.prove(twin.answer(attempt.hello))
    with pytest.raises(PeerError, match="somebody tried"):
        offer.finish(proof)


def test_one_attempt(two: Two) -> None:
    """After the first answer the code is used up, whatever came of it."""
    offer, first = offering(two.tower), attempting(two.eve, two.tower, OTHER_CODE)
    offer.answer(first.hello)
    assert offer.used
    second = attempting(two.laptop, two.tower)
    with pytest.raises(Refused) as refused:
        offer.answer(second.hello)
    with pytest.raises(PeerError, match="is used up or too old") as caught:
        second.prove(refused.value.line)
    assert caught.value.fault == "code"


def test_too_old(two: Two) -> None:
    """After five minutes the code is good no more, to the second."""
    now = [1000.0]
    offer = offering(two.tower, clock=lambda: now[0])
    now[0] += LASTS_S - 1
    assert offer.left_s == 1
    now[0] += 1
    with pytest.raises(Refused, match="void"):
        offer.answer(attempting(two.laptop, two.tower).hello)
    assert not offer.used
    now[0] -= 1
    offer.answer(attempting(two.laptop, two.tower).hello)


def test_in_between(two: Two) -> None:
    """Whoever speaks TLS in between with a certificate of their own breaks the key of both."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.eve)
    answer = offer.answer(attempt.hello)
    with pytest.raises(PeerError, match="somebody in between"):
        attempt.prove(answer)


def test_in_between_with_swapped_certificate(two: Two) -> None:
    """Also where the joining machine's certificate is swapped for that of the one in between."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.eve)
    answer = offer.answer(changed(attempt.hello, certificate=pem_of(two.eve.identity)))
    with pytest.raises(PeerError, match="somebody in between"):
        attempt.prove(answer)


def test_proof_of_the_key(two: Two) -> None:
    """Who has the code and shows another's certificate does not hold its key, and is not trusted.

    It is as with somebody who saw the code on the screen and wants to pass for the laptop.
    """
    offer = offering(two.tower)
    claimed = Own("laptop", two.laptop.identity)
    attempt = attempting(claimed, two.tower)
    answer = offer.answer(attempt.hello)
    proof = attempt.prove(answer)
    # The same words signed by another key.
    forger = attempting(two.eve, two.tower)
    theirs = forger.prove(offering(two.tower).answer(forger.hello))
    with pytest.raises(PeerError, match="somebody tried"):
        offer.finish(changed(proof, signature=json.loads(theirs)["signature"]))
    assert offer.finish(proof).name == "laptop"


def test_replay_to_the_offering_side(two: Two) -> None:
    """What a joining machine said once, heard by somebody, is of no use for the same code."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.tower)
    proof = attempt.prove(offer.answer(attempt.hello))
    offer.finish(proof)
    again = offering(two.tower)
    again.answer(attempt.hello)
    with pytest.raises(PeerError, match="somebody tried"):
        again.finish(proof)


def test_replay_to_the_joining_side(two: Two) -> None:
    """What an offering machine said once is of no use either."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.tower)
    answer = offer.answer(attempt.hello)
    with pytest.raises(PeerError, match="another code"):
        attempting(two.laptop, two.tower).prove(answer)


def test_reflected(two: Two) -> None:
    """A machine that hears its own words back is not paired with itself."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.tower)
    said = json.loads(attempt.hello)
    back = {"name": said["name"], "spake2": said["spake2"], "confirm": "00" * 32}
    with pytest.raises(PeerError, match="does not answer as"):
        attempt.prove(json.dumps(back).encode())
    answer = json.loads(offer.answer(attempt.hello))
    with pytest.raises(PeerError, match="somebody tried"):
        offer.finish(json.dumps({"confirm": answer["confirm"], "signature": "00"}).encode())


def test_finished_before_it_began(two: Two) -> None:
    """A proof without an attempt, or a last word before it, is nothing."""
    with pytest.raises(PeerError, match="somebody tried"):
        offering(two.tower).finish(b'{"confirm": "' + b"0" * 64 + b'", "signature": "00"}')
    with pytest.raises(PeerError, match="broke the pairing off"):
        attempting(two.laptop, two.tower).finish(DONE)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "hello"),
        (b"[" * 9999, "hello"),
        (b"GET / HTTP/1.1\r\n", "hello"),
        (b"\xff\n", "hello"),
        (b'{"pair": 1}', "hello"),
        (b'{"pair": 2, "from": "later"}', "version"),
    ],
)
def test_no_attempt(two: Two, line: bytes, said: str) -> None:
    """What is no first line leaves the code as good as it was."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.tower)
    with pytest.raises(Refused, match=said):
        offer.answer(line)
    offer.finish(attempt.prove(offer.answer(attempt.hello)))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "a b"},
        {"name": ""},
        {"name": "x" * 64},
        {"certificate": ""},
        {"certificate": "x" * 7000},
        {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        {"certificate": "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"},
        {"spake2": ""},
        {"spake2": "42" + "00" * 32},
        {"spake2": "42" + "ff" * 32},
        {"spake2": "41" + "01" + "00" * 31},
        {"spake2": "42" * 40},
        {"more": 1},
    ],
)
def test_bad_attempt(two: Two, fields: dict[str, object]) -> None:
    """A first line with one wrong field tries nothing, and uses nothing up."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.tower)
    with pytest.raises(Refused, match="hello"):
        offer.answer(changed(attempt.hello, **fields))
    assert not offer.used


def test_certificates_that_are_no_nodes(two: Two, tmp_path: Path) -> None:
    """A certificate that may sign others is trusted on neither side."""
    authority = Own("eve", made(tmp_path / "eve.pem", authority=True))
    with pytest.raises(Refused, match="hello"):
        offering(two.tower).answer(attempting(authority, two.tower).hello)
    attempt = attempting(two.laptop, authority)
    with pytest.raises(PeerError, match="does not answer as"):
        attempt.prove(offering(authority).answer(attempt.hello))


def test_this_machine_itself(two: Two) -> None:
    """A machine does not pair with itself."""
    with pytest.raises(Refused, match="hello"):
        offering(two.tower).answer(attempting(two.tower, two.tower).hello)


@pytest.mark.parametrize(
    ("line", "said", "fault"),
    [
        (b"", "does not answer as a machine", "not hgx"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not answer as a machine", "not hgx"),
        (b'{"error": "hello"}', "does not answer as a machine", "not hgx"),
        (b'{"error": "version"}', "in another way than this hgx", "version"),
        (b'{"error": "void"}', "is used up or too old", "code"),
    ],
)
def test_refusals_in_words(two: Two, line: bytes, said: str, fault: str) -> None:
    """What an offering machine refuses is said in words on the other one."""
    with pytest.raises(PeerError, match=said) as caught:
        attempting(two.laptop, two.tower).prove(line)
    assert caught.value.fault == fault


def other_letter(text: str, at: int) -> str:
    """Put another letter somewhere."""
    at %= len(text)
    return text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :]


FIELDS = (
    (0, "name"),
    (0, "certificate"),
    (0, "spake2"),
    (1, "name"),
    (1, "spake2"),
    (1, "confirm"),
    (2, "confirm"),
    (2, "signature"),
)


@given(field=st.sampled_from(FIELDS), at=st.integers(0, 400))
def test_tampering(two: Two, field: tuple[int, str], at: int) -> None:
    """Where a letter of any field of any line is changed on the way, nobody is trusted."""
    offer, attempt = offering(two.tower), attempting(two.laptop, two.tower)

    def passed(number: int, line: bytes) -> bytes:
        if number != field[0]:
            return line
        return changed(line, **{field[1]: other_letter(json.loads(line)[field[1]], at)})

    def exchange() -> None:
        answer = passed(1, offer.answer(passed(0, attempt.hello)))
        offer.finish(passed(2, attempt.prove(answer)))

    with pytest.raises((PeerError, Refused)):
        exchange()


def test_codes_are_secrets(two: Two) -> None:
    """Nothing that goes over the wire has a word of the code in it."""
    code = new_code(7)
    offer, attempt = offering(two.tower, code), attempting(two.laptop, two.tower, code)
    answer = offer.answer(attempt.hello)
    said = attempt.hello + answer + attempt.prove(answer)
    assert not any(word.encode() in said for word in code.words)
