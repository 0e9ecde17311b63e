"""A kernel of one's own is held to the contract before it runs, in one sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

import gemsnn
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS, Kernel, block
from gemsnn.kernels.contract import check_kernel


class HandsOn:
    """Takes anything, as that of docs/extending.md does."""

    def refuses(self, network, learning):
        return block.refuses(network, learning)

    def learn(self, *given, **named):
        return block.learn(*given, **named)

    def rollout(self, *given, **named):
        return block.rollout(*given, **named)


class WithoutFirst(HandsOn):
    """As kernels were before compartments could be asked portion by portion."""

    def rollout(self, network, params, batch, compartments, *, seed, clamp):  # type: ignore[override]
        return block.rollout(network, params, batch, compartments, seed=seed, clamp=clamp)


class WithoutLearning:
    refuses, rollout = HandsOn.refuses, HandsOn.rollout


@pytest.mark.parametrize("kernel", [*KERNELS.values(), HandsOn()])
def test_whole_kernels_are_taken(kernel):
    check_kernel(kernel)


def test_what_is_missing_is_named():
    with pytest.raises(
        InputError, match="WithoutFirst has a function rollout without the argument first; it must"
    ):
        check_kernel(WithoutFirst())
    with pytest.raises(InputError, match="WithoutLearning lacks the function learn"):
        check_kernel(WithoutLearning())


def test_a_model_with_an_older_kernel_says_so_when_it_is_asked():
    spikes = np.random.default_rng(0).random((8, 20, 6)) < 0.3
    recordings = gemsnn.Recordings.from_arrays(spikes, ["no", "yes"] * 4, bin_us=1000)
    model = gemsnn.fit(recordings, epochs=1, hidden=[4])
    old = replace(model, kernel=cast(Kernel, cast(Any, WithoutFirst())))
    with pytest.raises(InputError, match="without the argument first"):
        old.ask(recordings)
    mine = replace(model, kernel=cast(Kernel, HandsOn()))
    assert mine.ask(recordings).labels == replace(model, kernel=cast(Kernel, block)).ask(recordings).labels
