"""Presentations side by side: where a network takes in data, and looks whether it is what it should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import torch

from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import Range
from gemsnn.types import Batch, Presentation, first_observed


def check_presentation(row: Presentation, inputs: int, classes: int) -> None:
    """Raise :class:`InputError` unless a presentation is what :class:`Presentation` says, of these sizes."""
    spikes, target, label, address = row
    for name, value, width in (("spikes", spikes, inputs), ("target", target, classes)):
        fits = checks.is_tensor(value) and str(value.dtype) == "torch.uint8" and value.ndim == 2
        if not fits or value.shape[1] != width or len(value) == 0:
            raise InputError(
                f"{name} of a presentation must be uint8 [T, {width}] with T >= 1, not {checks.told(value)}"
            )
    if len(target) != len(spikes):
        raise InputError(
            f"target of a presentation must have as many steps as its spikes, {len(spikes)}, not {len(target)}"
        )
    for name, value, most in (("label", label, classes - 1), ("address", address, 2**63 - 1)):
        checks.number(value, Annotated[int, Range(0, most)], f"{name} of a presentation")


def collate(presentations: Sequence[Presentation] | Iterable[Presentation], *, warm_up: float = 0.0) -> Batch:
    """Put presentations of any lengths side by side, padded with zeros to the longest.

    A :class:`Presentation` is checked here, where networks take it in.

    Args:
        presentations: at least one.
        warm_up: the network's, see :class:`gemsnn.model.spec.NetworkSpec`; for a network use
            :func:`gemsnn.model.network.batch`, which knows it.

    Raises:
        InputError: there are none, they differ in the number of inputs or of visible neurons, or one of them has
            the wrong types, shapes or ranges.
    """
    rows = list(presentations)
    if not rows:
        raise InputError("a batch needs at least one presentation")
    sizes = [getattr(leaf, "shape", (0,))[-1] for leaf in rows[0][:2]]
    for row in rows:
        check_presentation(row, *sizes)
    pad = torch.nn.utils.rnn.pad_sequence
    return Batch(
        spikes=pad([row.spikes for row in rows], batch_first=True),
        target=pad([row.target for row in rows], batch_first=True),
        length=torch.tensor([row.spikes.shape[0] for row in rows]),
        label=torch.tensor([row.label for row in rows]),
        address=torch.tensor([row.address for row in rows]),
        begin=torch.tensor([first_observed(warm_up, row.spikes.shape[0]) for row in rows]),
    )
