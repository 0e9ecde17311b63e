"""Presentations side by side: where a network takes in data, and looks whether it is what it should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import torch

from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.specs import checks
from gemsnn.specs.checks import Range
from gemsnn.types import Batch, Presentation, first_observed


def check_presentation(row: Presentation, inputs: int, classes: int) -> None:
    """Raise :class:`InputError` unless a presentation is what :class:`Presentation` says, of these sizes."""
    spikes, target, label, address = row
    for name, value, width in (("spikes", spikes, inputs), ("target", target, classes)):
        if isinstance(value, SpikeRows):
            fits = name == "spikes" and value.inputs == width
        else:
            fits = checks.is_tensor(value) and str(value.dtype) == "torch.uint8" and value.ndim == 2
            fits = fits and value.shape[1] == width
        if not fits or len(value) == 0:
            raise InputError(
                f"{name} of a presentation must be uint8 [T, {width}] with T >= 1, not {checks.told(value)}"
            )
    if len(target) != len(spikes):
        raise InputError(
            f"target of a presentation must have as many steps as its spikes, {len(spikes)}, not {len(target)}"
        )
    for name, value, most in (("label", label, classes - 1), ("address", address, 2**63 - 1)):
        checks.number(value, Annotated[int, Range(0, most)], f"{name} of a presentation")


def collate(
    presentations: Sequence[Presentation] | Iterable[Presentation], *, warm_up: float = 0.0, steps: int = 0
) -> Batch:
    """Put presentations of any lengths side by side, padded with zeros to the longest.

    A :class:`Presentation` is checked here, where networks take it in.

    Args:
        presentations: at least one.
        warm_up: the network's, see :class:`gemsnn.model.spec.NetworkSpec`; for a network use
            :func:`gemsnn.model.network.batch`, which knows it.
        steps: T at least, where others of the same batch may be longer.

    Raises:
        InputError: there are none, they differ in the number of inputs or of visible neurons, or one of them has
            the wrong types, shapes or ranges.
    """
    rows = list(presentations)
    if not rows:
        raise InputError("a batch needs at least one presentation")
    sizes = [_width(leaf) for leaf in rows[0][:2]]
    for row in rows:
        check_presentation(row, *sizes)
    length = [len(row.given) for row in rows]
    longest = max(steps, *length)
    target = torch.nn.utils.rnn.pad_sequence([row.target for row in rows], batch_first=True)
    return Batch(
        rows=SpikeRows.join([row.rows.padded(longest) for row in rows]),
        target=torch.nn.functional.pad(target, (0, 0, 0, longest - target.shape[1])),
        length=torch.tensor(length),
        label=torch.tensor([row.label for row in rows]),
        address=torch.tensor([row.address for row in rows]),
        begin=torch.tensor([first_observed(warm_up, steps) for steps in length]),
    )


def _width(leaf: object) -> int:
    return leaf.inputs if isinstance(leaf, SpikeRows) else getattr(leaf, "shape", (0,))[-1]
