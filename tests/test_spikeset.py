from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.types import Layout


def some(
    seed: int, lengths: list[int], *, counts: bool = False, channels: int = 2
) -> tuple[SpikeSet, list[np.ndarray]]:
    layout = Layout(channels, 3, 3, 4, 1000)
    generator = np.random.default_rng(seed)
    top = 256 if counts else 2
    bins = [generator.integers(0, top, (n, layout.inputs)).astype(np.uint8) for n in lengths]
    labels = generator.integers(0, 4, len(lengths)).tolist()
    spikes = SpikeSet.from_bins(iter(bins), labels, layout, counts=counts)
    return replace(spikes, address=np.arange(len(lengths)) * 10 + 3), bins


cases = given(st.integers(0, 2**32), st.lists(st.integers(1, 9), max_size=6), st.booleans())


@cases
def test_packing_round_trip(seed, lengths, counts):
    spikes, bins = some(seed, lengths, counts=counts)
    assert len(spikes) == len(lengths)
    for i, want in enumerate(bins):
        np.testing.assert_array_equal(spikes.bins(i), want)
    want = np.array([b.sum(axis=0, dtype=np.int64) for b in bins]).reshape(len(bins), spikes.layout.inputs)
    np.testing.assert_array_equal(spikes.counts_per_input(), want)


@cases
def test_merged_is_or_of_bits_and_sum_of_counts(seed, lengths, counts):
    spikes, bins = some(seed, lengths, counts=counts)
    merged = spikes.merged()
    assert merged.layout == spikes.layout._replace(channels=1)
    np.testing.assert_array_equal(merged.address, spikes.address)
    np.testing.assert_array_equal(merged.labels, spikes.labels)
    for i, b in enumerate(bins):
        off, on = b[:, 0::2].astype(int), b[:, 1::2].astype(int)
        np.testing.assert_array_equal(merged.bins(i), np.minimum(off + on, 255) if counts else off | on)
    assert merged.merged() is merged


@cases
def test_select_keeps_contents_labels_and_index(seed, lengths, counts):
    spikes, bins = some(seed, lengths, counts=counts)
    positions = np.random.default_rng(seed).permutation(len(lengths))[: len(lengths) // 2 + 1]
    chosen = spikes.select(positions)
    assert chosen.labels.tolist() == spikes.labels[positions].tolist()
    assert chosen.address.tolist() == (positions * 10 + 3).tolist()
    for new, old in enumerate(positions):
        np.testing.assert_array_equal(chosen.bins(new), bins[old])
    assert len(spikes.select([])) == 0
    assert spikes.select(slice(None)).address.tolist() == spikes.address.tolist()


def test_presentations():
    spikes, bins = some(0, [3, 5])
    shown = list(spikes)
    assert [p.address for p in shown] == [3, 13]
    assert shown[1].spikes.dtype == torch.uint8
    np.testing.assert_array_equal(shown[1].spikes.numpy(), bins[1])
    want = torch.zeros(5, 4, dtype=torch.uint8)
    want[:, shown[1].label] = 1
    assert torch.equal(shown[1].target, want)
    assert spikes[-1].address == 13
    for outside in (2, -3):
        with pytest.raises(IndexError):
            spikes[outside]


def test_what_a_presentation_holds_is_its_own():
    for counts in (False, True):
        spikes, bins = some(0, [3], counts=counts)
        spikes[0].spikes.fill_(7)
        np.testing.assert_array_equal(spikes.bins(0), bins[0])


def test_what_spikes_take():
    spikes, bins = some(0, [4, 4])
    events = int(np.concatenate(bins).sum())
    assert spikes.rows.nbytes == 2 * events + 8 * 9  # two bytes a spike, eight a step


@pytest.mark.parametrize("label", [-1, 4])
def test_labels_out_of_range_are_refused(label):
    with pytest.raises(InputError, match=f"label {label} is out of range"):
        SpikeSet.from_bins([np.zeros((1, 18), np.uint8)], [label], Layout(2, 3, 3, 4, 1000), counts=False)


def test_a_wrong_number_of_inputs_is_refused():
    with pytest.raises(InputError, match="recording 0 of bins has 17 inputs where 18"):
        SpikeSet.from_bins([np.zeros((1, 17), np.uint8)], [0], Layout(2, 3, 3, 4, 1000), counts=False)
