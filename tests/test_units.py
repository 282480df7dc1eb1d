"""Sizes and rates: what people type is read, what is printed is short and right."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.units import (
    format_bytes,
    format_flops,
    format_rate,
    format_seconds,
    format_tokens,
    parse_bytes,
)

SCALES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1024**2),
        ("512MiB", 512 * 1024**2),
        ("512 M", 512 * 1024**2),
        ("1.5g", 3 * 1024**3 // 2),
        ("2GB", 2 * 10**9),
        ("3kb", 3000),
        (" 1TiB ", 1024**4),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    """A number with a unit is a size: M and MiB are binary, MB is decimal, none is bytes."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1e9", "5 parsecs", "1.2.3M", "NaN", "inf"])
def test_other_text_is_no_size(text: str) -> None:
    """Anything else is refused with an example of a size."""
    with pytest.raises(ValueError, match="such as 512MiB"):
        parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**50))
def test_printed_sizes_are_close(size: int) -> None:
    """A printed size is within half a per cent of the size, whatever its unit."""
    number, unit = format_bytes(size).split()
    assert float(number) * SCALES[unit] == pytest.approx(size, rel=5.1e-3, abs=0.5)


@given(st.integers(min_value=1, max_value=2**50))
def test_printed_sizes_are_short(size: int) -> None:
    """A printed size has at most three digits before its unit, save in the largest unit."""
    assert re.fullmatch(r"\d{1,4}(\.\d{1,2})? ([KMGT]i)?B", format_bytes(size))


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (format_bytes(-1536), "-1.5 KiB"),
        (format_bytes(1023.9 * 1024), "1 MiB"),
        (format_seconds(0), "0 s"),
        (format_seconds(31.5e-6), "31.5 µs"),
        (format_seconds(0.0164), "16.4 ms"),
        (format_seconds(2.1), "2.1 s"),
        (format_seconds(4000), "4000 s"),
        (format_rate(34.4e9), "34.4 GB/s"),
        (format_rate(4.8e12), "4.8 TB/s"),
        (format_flops(186e9), "186 GFLOP/s"),
        (format_tokens(1185.2), "1185 tokens/s"),
        (format_tokens(66.44), "66.4 tokens/s"),
    ],
)
def test_printed_as_expected(shown: str, text: str) -> None:
    """Numbers are printed with three significant digits and a unit that suits them."""
    assert shown == text
