"""What augmentation makes of one recording of a run, kept for its report."""

from __future__ import annotations

import json

import numpy as np
import torch

from gemsnn.data.augment import AugmentSpec
from gemsnn.data.events import Events
from gemsnn.data.pictures import pictures
from gemsnn.data.raw import Augmented, learned
from gemsnn.data.splits import Splits
from gemsnn.store.records import RunFolder

NAME = "augment.safetensors"


def save_example(run: RunFolder, splits: Splits, spec: AugmentSpec, seed: int) -> None:
    """Keep what becomes of the first recording of the training part; see :func:`save_pictures`."""
    if not spec.is_on:
        (run.path / NAME).unlink(missing_ok=True)
        return
    shown = learned(splits.train, spec, seed)
    assert isinstance(shown, Augmented)
    raw, address = shown.raw, int(splits.train.address[0])
    save_pictures(
        run, raw.events(0), spec, width=raw.width, height=raw.height, duration_us=shown.duration_us, seed=seed,
        address=address,
    )  # fmt: skip


def save_pictures(
    run: RunFolder,
    events: Events,
    spec: AugmentSpec,
    *,
    width: int,
    height: int,
    duration_us: int,
    seed: int,
    address: int,
) -> None:
    """Keep a recording as it is and as it is learned, as :func:`gemsnn.data.pictures.pictures` shows it.

    Where nothing is changed, nothing is kept, and what was goes away.

    Raises:
        InputError: as :func:`gemsnn.data.augment.augmented`.
    """
    shown = pictures(
        events, spec, width=width, height=height, duration_us=duration_us, seed=seed, address=address
    )
    if not shown:
        (run.path / NAME).unlink(missing_ok=True)
        return
    tensors = {
        name: torch.from_numpy(np.stack([getattr(each, name) for each in shown]))
        for name in ("counts", "over_time")
    }
    facts = {
        "settings": [each.setting for each in shown],
        "epochs": [each.epoch for each in shown],
        "index": address,
        "duration_us": duration_us,
        "kind": "channels" if min(width, height) == 1 else "sensor",
    }
    run.save_tensors(NAME, tensors, {"pictures": json.dumps(facts)})
