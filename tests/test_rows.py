"""Spikes held sparsely: every operation is that of plain lists of numbers."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gemsnn.errors import InputError
from gemsnn.kernels.cpu.inputs import Inputs
from gemsnn.model.batches import collate
from gemsnn.rows import SpikeRows, index_type
from gemsnn.types import Batch, Presentation, class_target

MANY = settings(deadline=None, max_examples=60)
Numbers = list[list[int]]


@st.composite
def tables(draw, most: int = 3, rows: tuple[int, int] = (0, 6), inputs: int | None = None) -> Numbers:
    """Rows of small numbers, most of them zero; now and then a 255."""
    width = draw(st.integers(1, 9)) if inputs is None else inputs
    number = st.sampled_from([0, 0, 0, *range(1, most + 1), *([255] if most > 1 else [])])
    line = st.lists(number, min_size=width, max_size=width)
    return draw(st.lists(line, min_size=rows[0], max_size=rows[1]))


def array(table: Numbers, inputs: int) -> np.ndarray:
    return np.array(table, np.uint8).reshape(len(table), inputs)


def rows_of(table: Numbers, inputs: int = 1) -> SpikeRows:
    return SpikeRows.of(array(table, len(table[0]) if table else inputs))


def same(rows: SpikeRows, table: Numbers) -> None:
    """Whether rows hold these numbers, by all that they tell of themselves."""
    assert rows.dense().tolist() == table
    assert rows.dense().dtype == np.uint8
    assert len(rows) == len(table)
    assert rows.per_row().tolist() == [sum(line) for line in table]
    if table:
        assert rows.per_input().tolist() == [sum(column) for column in zip(*table, strict=True)]
    where = [(r, m) for r, line in enumerate(table) for m, number in enumerate(line) if number]
    assert list(zip(rows.row.tolist(), rows.held.tolist(), strict=True)) == where  # ascending within rows
    assert rows.sizes.tolist() == [table[r][m] for r, m in where]


@MANY
@given(tables())
def test_of_and_dense(table):
    rows = rows_of(table)
    same(rows, table)
    assert (rows.counts is None) == all(number <= 1 for line in table for number in line)
    assert rows.held.dtype == np.uint16
    assert rows.indptr.dtype == np.int64
    assert rows.nbytes == sum(
        each.nbytes for each in (rows.indices, rows.indptr, rows.counts) if each is not None
    )


def test_counts_are_kept_or_not_as_one_says():
    table = np.array([[1, 0, 1]], np.uint8)
    assert SpikeRows.of(table).counts is None
    assert SpikeRows.of(table, counts=True).sizes.tolist() == [1, 1]
    assert SpikeRows.of(3 * table, counts=False).dense().tolist() == [[1, 0, 1]]


@MANY
@given(st.data(), st.booleans())
def test_events_at_places(data, counts):
    """In any order; at one place several are one, or counted up to 255."""
    rows, inputs = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    events = data.draw(st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, inputs - 1)), max_size=20))
    events *= data.draw(st.sampled_from([1, 200]))
    wanted = [[0] * inputs for _ in range(rows)]
    for row, index in events:
        wanted[row][index] = min(wanted[row][index] + 1, 255 if counts else 1)
    place = np.array(events, np.int64).reshape(-1, 2)
    found = SpikeRows.at(place[:, 0], place[:, 1], (rows, inputs), counts=counts)
    same(found, wanted)
    assert (found.counts is not None) == counts


@MANY
@given(st.data())
def test_join_part_and_padded(data):
    inputs = data.draw(st.integers(1, 6))
    several = data.draw(
        st.lists(tables(most=data.draw(st.sampled_from([1, 3])), inputs=inputs), min_size=1, max_size=4)
    )
    whole = SpikeRows.join([rows_of(each, inputs) for each in several])
    table = [line for each in several for line in each]
    same(whole, table)
    low = data.draw(st.integers(0, len(table)))
    high = data.draw(st.integers(low, len(table)))
    part = whole.part(low, high)
    same(part, table[low:high])
    assert np.shares_memory(part.indices, whole.indices) or not len(whole.indices)
    more = data.draw(st.integers(0, 3))
    same(part.padded(high - low + more), [*table[low:high], *([[0] * inputs] * more)])
    # of parts, whatever lies around them stays where it is
    same(SpikeRows.join([part, whole.part(low, high)]), 2 * table[low:high])
    inner = data.draw(st.integers(0, high - low))
    same(part.part(inner, high - low), table[low + inner : high])


@MANY
@given(tables(rows=(1, 5)), st.booleans())
def test_merged_channels(table, counts):
    table = [line * 2 for line in table]  # an even number of inputs
    wanted = [
        [
            min(line[m] + line[m + 1], 255) if counts else int(line[m] + line[m + 1] > 0)
            for m in range(0, len(line), 2)
        ]
        for line in table
    ]
    whole = SpikeRows.join([rows_of(table), rows_of(table)])
    same(whole.part(len(table), 2 * len(table)).merged(2, counts=counts), wanted)


@MANY
@given(tables(rows=(1, 4), inputs=3), tables(rows=(1, 4), inputs=3))
def test_digests_are_equal_where_rows_are(one, two):
    """Also those of a part of others, and of a copy that went to another process."""
    first, second = (SpikeRows.of(array(each, 3), counts=True) for each in (one, two))
    assert (first.digest() == second.digest()) == (one == two)
    both = SpikeRows.join([second, first])
    assert both.part(len(two), len(both)).digest() == first.digest()
    assert pickle.loads(pickle.dumps(first)).digest() == first.digest()


def test_digests_tell_what_lies_where():
    one = rows_of([[1, 0, 1, 0], [0, 0, 0, 0]])
    others = ([[1, 0, 0, 0], [0, 0, 1, 0]], [[1, 0, 1, 0]], [[1, 0, 1, 0, 0], [0] * 5])
    assert len({one.digest(), *(rows_of(each).digest() for each in others)}) == 4
    assert one.digest() != SpikeRows.of(one.dense(), counts=True).digest()


def test_many_inputs_take_wider_numbers():
    assert (index_type(2**16), index_type(2**16 + 1)) == (np.uint16, np.uint32)
    for inputs in (2**16, 2**16 + 1):
        dense = np.zeros((2, inputs), np.uint8)
        dense[0, -1] = dense[1, 0] = 1
        rows = SpikeRows.of(dense)
        assert rows.held.tolist() == [inputs - 1, 0]
        assert np.array_equal(SpikeRows.join([rows, rows]).dense(), np.concatenate([dense, dense]))
        at = SpikeRows.at(np.array([1, 0]), np.array([0, inputs - 1]), (2, inputs), counts=False)
        assert at.digest() == rows.digest()
        assert at.held.dtype == index_type(inputs)


def test_rows_of_other_inputs_are_not_joined():
    with pytest.raises(InputError, match="rows of 2 inputs cannot be joined"):
        SpikeRows.join([rows_of([[1, 0]]), rows_of([[1, 0, 0]])])
    nothing = SpikeRows.join([], 7)
    assert (len(nothing), nothing.inputs, nothing.dense().shape) == (0, 7, (0, 7))


def test_memory_that_may_not_be_written_is_left_alone():
    rows = SpikeRows.join([rows_of([[1, 2], [0, 1]])])
    frozen = {}
    for name in ("indices", "indptr", "counts"):
        frozen[name] = getattr(rows, name).copy()
        frozen[name].flags.writeable = False
    found = dataclasses.replace(rows, **frozen)
    same(found.part(1, 2).padded(2), [[0, 1], [0, 0]])
    same(found.merged(2, counts=True), [[3], [1]])


# -- presentations and batches -----------------------------------------------------------------------------


def shown(table: Numbers, sparsely: bool, label: int = 0, address: int = 0) -> Presentation:
    spikes = SpikeRows.of(array(table, 3)) if sparsely else torch.tensor(table, dtype=torch.uint8)
    return Presentation(spikes, class_target(label, len(table), 2), label, address)


def test_a_presentation_is_had_either_way():
    table = [[1, 0, 2], [0, 0, 1]]
    for sparsely in (False, True):
        one = shown(table, sparsely)
        assert one.spikes.tolist() == table
        same(one.rows, table)
        assert one.given is one[0]
        assert one._replace(label=1).spikes.tolist() == table
        assert pickle.loads(pickle.dumps(one)).spikes.tolist() == table


@MANY
@given(st.data())
def test_a_batch_is_the_same_of_rows_and_of_tensors(data):
    several = data.draw(
        st.lists(tables(most=2, rows=(1, 5), inputs=3), min_size=1, max_size=4), label="tables"
    )
    longest = max(map(len, several))
    batches = {
        sparsely: collate(
            [shown(each, sparsely, i % 2, 10 + i) for i, each in enumerate(several)], warm_up=0.5
        )
        for sparsely in (False, True)
    }
    padded = [each + [[0, 0, 0]] * (longest - len(each)) for each in several]
    for batch in batches.values():
        assert batch.shape == (len(several), longest, 3)
        assert batch.dense().tolist() == padded
        assert batch.came.tolist() == [[sum(line) for line in each] for each in padded]
        assert batch.length.tolist() == [len(each) for each in several]
        assert batch.begin.tolist() == [len(each) // 2 for each in several]
        assert batch.alive.sum(1).tolist() == [len(each) for each in several]
        low = data.draw(st.integers(0, len(several) - 1))
        some = batch.some(slice(low, low + 2))
        assert some.dense().tolist() == padded[low : low + 2]
        assert some.address.tolist() == [10 + i for i in range(len(several))][low : low + 2]
        assert isinstance(some, Batch)
    assert batches[False].rows.digest() == batches[True].rows.digest()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"spikes": SpikeRows.of(np.zeros((0, 3), np.uint8))},
            r"spikes .* must be uint8 \[T, 3\] with T >= 1, not rows \[0, 3\]",
        ),
        (
            {"spikes": SpikeRows.of(np.zeros((2, 4), np.uint8))},
            r"spikes .* must be uint8 \[T, 3\] with T >= 1, not rows \[2, 4\]",
        ),
        ({"spikes": SpikeRows.of(np.ones((3, 3), np.uint8))}, "as many steps as its spikes, 3, not 2"),
        ({"target": SpikeRows.of(np.ones((2, 2), np.uint8))}, r"target .* must be uint8 .*, not rows \[2, 2\]"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit(changed, said):
    good = shown([[1, 0, 0], [0, 0, 0]], True)
    with pytest.raises(InputError, match=said):
        collate([good, good._replace(**changed)])


# -- what the kernel holds of them -------------------------------------------------------------------------


@MANY
@given(st.data())
def test_inputs_of_a_kernel(data):
    """Steps of several presentations: cut out, and put behind one another."""
    count, steps, more = (data.draw(st.integers(low, 4)) for low in (1, 1, 0))
    tall = [data.draw(tables(inputs=3, rows=(n * count, n * count))) for n in (steps, more)]
    old, new = (array(each, 3).reshape(count, -1, 3) for each in tall)
    inputs = Inputs.of(old)
    assert (inputs.steps, inputs.presentations) == (steps, count)
    assert np.array_equal(inputs.dense(), old)
    both = inputs.then(SpikeRows.of(new.reshape(-1, 3)))
    whole = np.concatenate([old, new], 1)
    assert np.array_equal(both.dense(), whole)
    first = data.draw(st.integers(0, steps + more))
    last = data.draw(st.one_of(st.none(), st.integers(first, steps + more)))
    cut = both.between(first, last)
    assert np.array_equal(cut.rows.dense(), whole[:, first:last].reshape(-1, 3))
    heard = whole.reshape(-1, 3).any(0)
    assert np.array_equal(
        both.heard(np.dtype(float)),
        whole[..., heard] if heard.any() else np.zeros((count, steps + more, 1)),
    )
    silent = Inputs.silent(count, 0, 3)
    assert np.array_equal(silent.then(both.rows).dense(), whole)
    assert not Inputs.silent(count, 2, 3).dense().any()
