"""Recordings as torch's data loaders take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from gemsnn.errors import InputError

if TYPE_CHECKING:
    from gemsnn.data.spikeset import SpikeSet


class Padded(NamedTuple):
    """Recordings side by side.

    Attributes:
        bins: ``[B, T, ..]``, 0 after a recording's end.
        taught: labels int64 ``[B]``, or targets uint8 ``[B, T, V]``, 0 after the end.
        length: int64 ``[B]``, the bins of each recording.
    """

    bins: Tensor
    taught: Tensor
    length: Tensor


class TorchRecordings(Dataset[tuple[Any, Any]]):
    """A set of recordings as a data set of torch, see :meth:`gemsnn.Recordings.as_torch`."""

    def __init__(
        self, recordings: SpikeSet, *, frames: bool = False, transform: Callable[[Tensor], Any] | None = None
    ) -> None:
        self.recordings, self.frames, self.transform = recordings, frames, transform

    def __len__(self) -> int:
        """The number of recordings."""
        return len(self.recordings)

    def __getitem__(self, position: int) -> tuple[Any, Any]:
        """A recording's bins, transformed, and its label, or its target."""
        held = self.recordings
        bins = torch.from_numpy(held.bins(position))
        if self.frames:
            layout = held.layout
            bins = (
                bins.unflatten(1, (layout.width, layout.height, layout.channels))
                .permute(0, 3, 2, 1)
                .contiguous()
            )
        taught = int(held.labels[position]) if held.targets is None else held.target(position)
        return bins if self.transform is None else self.transform(bins), taught

    def collate(self, items: Sequence[tuple[Any, Any]]) -> Padded:
        """Items of any lengths side by side, for ``DataLoader(.., collate_fn=data.collate)``.

        Raises:
            InputError: there are none, or a transform has made of the bins what cannot lie side by side.
        """
        if not items:
            raise InputError("a batch must be one recording or more, but there are none")
        bins, taught = zip(*items, strict=True)
        wrong = [each for each in bins if not isinstance(each, Tensor) or each.shape[1:] != bins[0].shape[1:]]
        if wrong:
            raise InputError(
                "recordings lie side by side where each is a tensor [T, ..] of the same inputs; let transform give such"
            )
        length = torch.tensor([len(each) for each in bins])
        whole = torch.nn.utils.rnn.pad_sequence(list(bins), batch_first=True)
        if self.recordings.targets is None:
            return Padded(whole, torch.tensor(taught), length)
        return Padded(whole, torch.nn.utils.rnn.pad_sequence(list(taught), batch_first=True), length)
