"""Keys tell sets apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.planner.keys import MOST_IN_WORD, key_weights

counts = st.one_of(st.integers(0, 3), st.integers(0, 60_000))


@given(most=st.lists(counts, min_size=1, max_size=30), data=st.data())
def test_no_two_sets_share_a_key(most: list[int], data: st.DataObject) -> None:
    """Sets that differ anywhere have different keys, and none needs more than a word's bits."""
    weights = key_weights(np.array(most))
    one, other = (
        np.array([data.draw(st.integers(0, count)) for count in most], dtype=np.int64)
        for _ in range(2)
    )
    same = (one @ weights).tolist() == (other @ weights).tolist()
    assert same is bool((one == other).all())
    largest = [
        sum(m * w for m, w in zip(most, column, strict=True)) for column in weights.T.tolist()
    ]
    assert all(0 <= key < MOST_IN_WORD for key in largest)


@given(most=st.lists(st.integers(0, 2), min_size=1, max_size=5))
def test_all_of_few_sets_have_keys_of_their_own(most: list[int]) -> None:
    """One word is enough, and every set is in it once."""
    weights = key_weights(np.array(most))
    sets = np.array(list(np.ndindex(*(count + 1 for count in most))))
    keys = sets @ weights
    assert keys.shape == (len(sets), 1)
    assert len(np.unique(keys)) == len(sets)


@pytest.mark.parametrize(("things", "words"), [(61, 1), (62, 1), (63, 2), (124, 2), (125, 3)])
def test_more_sets_than_a_word_has_numbers_need_more_words(things: int, words: int) -> None:
    """Each thing is in one word; 62 of them, present or not, fill it."""
    weights = key_weights(np.ones(things, dtype=np.intp))
    assert weights.shape == (things, words)
    assert ((weights > 0).sum(axis=1) == 1).all()
    single = np.eye(things, dtype=np.int64) @ weights
    assert len(np.unique(single, axis=0)) == things
