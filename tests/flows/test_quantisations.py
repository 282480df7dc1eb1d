"""``--fit``: of several quantisations the best that is fast enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.core.quantisations import Selection
from hgx.errors import Infeasible, ModelError, OutOfTime
from hgx.flows.quantisations import Speed, require_selected, select_quantisation
from tests.gguf.ggufs import llama_like
from tests.planner.made import MB, device, options, registry

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.core.registry import Registry

FREE = options(coordinator=None)
TYPES = ("Q4_K", "Q6_K", "Q8_0")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three quantisations of one model, the smallest first."""
    folder = tmp_path_factory.mktemp("models")
    return [made(folder / f"{quant}.gguf", quant) for quant in TYPES]


def made(path: Path, quant: str = "Q4_K", n_block: int = 8, n_embd: int = 2048) -> Path:
    """A model of about 200 MB."""
    return llama_like(
        path,
        n_block=n_block,
        n_embd=n_embd,
        n_head=16,
        n_head_kv=4,
        n_ff=4096,
        n_vocab=1024,
        quant=quant,
    )


def devices(memory: int = 4000) -> Registry:
    """One device, on which a smaller file is a faster one."""
    return registry(device("a/cuda:0", memory * MB, 1e10))


def select(files: list[Path], speed: Speed, memory: int = 4000) -> Selection:
    """Select, on that device."""
    return select_quantisation(files, devices(memory), FREE, "a", speed)


def test_all_are_planned_the_best_first(files: list[Path]) -> None:
    """Whatever the order they are named in, with size, bits per weight and what they promise."""
    found = select(files, Speed(0.0))
    rows = found.quantisations
    assert [row.path for row in rows] == [str(path) for path in reversed(files)]
    assert [row.status for row in rows] == ["optimal"] * 3
    assert all(row.meets and row.lacks is None for row in rows)
    for row, file, (low, high) in zip(
        rows, reversed(files), ((8, 9), (6, 7), (4, 5.5)), strict=True
    ):
        assert row.file_bytes == file.stat().st_size
        assert low < row.bits_per_weight < high
    speeds = [row.predicted.tokens_per_s for row in rows if row.predicted]
    assert speeds == sorted(speeds)
    assert found.best == str(files[-1])
    assert found.plan is not None
    assert found.plan.model.path == found.best
    assert found.plan.predicted == rows[0].predicted
    assert Selection.model_validate_json(found.model_dump_json()) == found
    require_selected(found)


@settings(max_examples=25)
@given(part=st.floats(0.5, 1.5), which=st.sampled_from(TYPES), memory=st.sampled_from((150, 4000)))
def test_nothing_better_is_fast_enough(
    files: list[Path], part: float, which: str, memory: int
) -> None:
    """All with more bits per weight than the one that is chosen are too slow, or do not fit."""
    everything = select(files, Speed(0.0)).quantisations
    reference = everything[TYPES[::-1].index(which)].predicted
    assert reference is not None
    speed = Speed(part * reference.tokens_per_s)
    found = select(files, speed, memory)
    fast = [
        row.path
        for row in found.quantisations
        if row.predicted and row.predicted.tokens_per_s >= speed.tokens_per_s
    ]
    assert [row.path for row in found.quantisations if row.meets] == fast
    assert found.best == next(iter(fast), None)


def test_the_first_token_counts_where_it_is_asked_for(files: list[Path]) -> None:
    """What is fast enough, but too late, is not chosen."""
    rows = select(files, Speed(0.0)).quantisations
    firsts = [row.predicted.ttft_s for row in rows if row.predicted]
    assert firsts == sorted(firsts, reverse=True)
    found = select(files, Speed(0.0, (firsts[1] + firsts[2]) / 2))
    assert found.best == rows[2].path
    late = select(files, Speed(0.0, firsts[2] / 2))
    assert late.best is None
    with pytest.raises(Infeasible, match=rf"{rows[2].path} comes nearest .*50% of that"):
        require_selected(late)


def test_how_near_the_nearest_comes_is_said(files: list[Path]) -> None:
    """Where none is fast enough, the error names what there is instead."""
    fastest = select(files, Speed(0.0)).quantisations[-1]
    assert fastest.predicted is not None
    found = select(files, Speed(2 * fastest.predicted.tokens_per_s))
    assert (found.best, found.plan) == (None, None)
    with pytest.raises(Infeasible) as caught:
        require_selected(found)
    assert caught.value.message.startswith("none of 3 quantisations gives ")
    assert f": {fastest.path} comes nearest with " in caught.value.message
    assert caught.value.message.endswith(" tokens/s, 50% of that")


def test_where_none_fits_the_smallest_says_why(files: list[Path]) -> None:
    """By how much, as its plan does."""
    found = select(files, Speed(0.0), 20)
    assert {row.status for row in found.quantisations} == {"infeasible"}
    with pytest.raises(Infeasible) as caught:
        require_selected(found)
    said = caught.value.message
    assert said.startswith(f"none of 3 quantisations fits, not even {files[0]} (")
    assert said.endswith(f"): {found.quantisations[-1].lacks}")


def test_one_file_may_be_too_slow_alone(files: list[Path]) -> None:
    """A single one is no choice, but its speed is a question too."""
    found = select(files[:1], Speed(1e9))
    with pytest.raises(Infeasible, match="no quantisation gives "):
        require_selected(found)


@pytest.mark.parametrize(
    ("n_block", "n_embd", "said"),
    [
        (9, 2048, "its number of blocks is 9, not 8"),
        (8, 1024, "its width is 1024, not 2048"),
    ],
)
def test_another_model_is_refused(
    files: list[Path], tmp_path: Path, n_block: int, n_embd: int, said: str
) -> None:
    """What a quantisation leaves as it is must be the same."""
    other = made(tmp_path / "other.gguf", n_block=n_block, n_embd=n_embd)
    with pytest.raises(ModelError, match=rf"{other} is another model than {files[0]}: {said}"):
        select([files[0], other], Speed(0.0))


def test_a_search_that_ends_too_early_is_not_an_end(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file for which nothing was found in time is a row like the others."""

    def late(*_: object, **__: object) -> None:
        raise OutOfTime("no placement was found within 1 s")

    monkeypatch.setattr("hgx.flows.quantisations.plan_workload", late)
    found = select(files, Speed(0.0))
    assert {row.status for row in found.quantisations} == {None}
    with pytest.raises(Infeasible, match="within 1 s"):
        require_selected(found)
