"""The codes that people type, and the words in them."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.net.pairing_code import MOST_NAMEPLATE, PairingCode, new_code, parse_code, words_of
from hgx.net.words import WORDS

codes = st.builds(
    PairingCode,
    st.integers(1, MOST_NAMEPLATE),
    st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)),
)


def edits(one: str, other: str) -> int:
    """Count the letters to change, add, leave out or swap with the next to get from one to other.

    The distance is that of optimal string alignment.
    """
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, wanted in enumerate(other, start=1):
            best = min(row[-1] + 1, rows[-1][j] + 1, rows[-1][j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def test_words() -> None:
    """A word for each byte, short and in plain letters, no two alike enough to be mistaken."""
    assert len(WORDS) == 256
    assert all(re.fullmatch(r"[a-z]{4,8}", word) for word in WORDS)
    assert min(edits(one, other) for one, other in itertools.combinations(WORDS, 2)) >= 3


@given(
    code=codes,
    separator=st.sampled_from(["-", " ", "  ", "_", "\N{NON-BREAKING HYPHEN}", " - "]),
    upper=st.booleans(),
)
def test_round_trip(code: PairingCode, separator: str, *, upper: bool) -> None:
    """A code is read as it was shown, in any case and with any separators."""
    text = str(code).replace("-", separator)
    assert parse_code(f" {text.upper() if upper else text}\n") == code


@given(st.text())
def test_anything_typed(text: str) -> None:
    """Whatever is typed is a code, or is refused in one line."""
    try:
        assert str(parse_code(text)).count("-") == 2
    except ValueError as error:
        assert "\n" not in str(error)


@given(codes, st.data())
def test_typo(code: PairingCode, data: st.DataObject) -> None:
    """A word with one wrong letter is never another one: it is found before it is tried."""
    word = code.words[0]
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from(sorted(set("abcdefghijklmnopqrstuvwxyz") - {word[at]})))
    typed = f"{code.nameplate}-{word[:at]}{letter}{word[at + 1 :]}-{code.words[1]}"
    with pytest.raises(ValueError, match="is not a word of any code"):
        parse_code(typed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "such as 7-velvet-otter"),
        ("7", "a number and two words"),
        ("velvet-otter", "a number and two words"),
        ("velvet-otter-7", "a number and two words"),
        ("0-velvet-otter", "a number and two words"),
        ("100-velvet-otter", "a number and two words"),
        ("7-velvet-otter-otter", "a number and two words"),
        ("\N{ARABIC-INDIC DIGIT SEVEN}-velvet-otter", "a number and two words"),
        ("7-velwet-otter", "'velwet' is not a word of any code: did you mean velvet?"),
        ("7-velvet-xxxxxxxx", "'xxxxxxxx' is not a word of any code: read it again"),
        ("7-velvet-öl", r"'\xf6l' is not a word of any code"),
    ],
)
def test_no_code(text: str, said: str) -> None:
    """What is no code is refused, and it says why."""
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_code(text)


def test_new_codes_differ() -> None:
    """A new code has the number it was asked for, and words that nobody knows before."""
    made = {new_code(7) for _ in range(20)}
    assert {code.nameplate for code in made} == {7}
    assert len(made) > 15
    assert all(parse_code(str(code)) == code for code in made)


def test_words_of_bytes() -> None:
    """Bytes become words, one each."""
    assert words_of(b"\x00\xff") == f"{WORDS[0]} {WORDS[255]}"
