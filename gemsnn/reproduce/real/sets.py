"""The sets of recordings of the bench: where each lies, how it is binned and split, and what its bins are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from gemsnn.data import datasets
from gemsnn.data.datasets import DataSpec
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.types import AnyPath, Progress

SetName = Literal["digits", "nmnist", "touch", "braille", "neurons", "cards", "objects", "images"]


class RealSet(NamedTuple):
    """A set of recordings, as all methods see it.

    Attributes:
        title: what it is.
        place: the file or folder below the bench's root; ``None`` where nothing is needed.
        data: how it is read, as settings of :class:`gemsnn.data.datasets.DataSpec`.
        obtain: where it comes from.
        digest: the start of the SHA-256 of the training part's bins and labels
            (:meth:`gemsnn.data.spikeset.SpikeSet.digest`) that numbers in docs/results.md were measured on.
        best: settings of recipe ``best`` on this set beside those that the recipe has for it.
    """

    title: str
    place: str | None
    data: Mapping[str, Any]
    obtain: str
    digest: str
    best: Mapping[str, Any] = MappingProxyType({})


TURNED = {"shift": 2, "rotate": 10.0, "zoom": 0.1, "lr": 0.002}
"""What helps where digits are written before a camera, beside more epochs (experiments/augment)."""

SETS: dict[SetName, RealSet] = {
    "digits": RealSet(
        "8 x 8 digits, emulated camera", None, {"data": "digits"}, "nothing is needed",
        best=TURNED | {"epochs": 25},
        digest="9134436e85bb",
    ),
    "nmnist": RealSet(
        "N-MNIST, 721 to learn from", "nmnist", {"data": "nmnist"},
        "https://www.garrickorchard.com/datasets/n-mnist; Train/<digit>/<id>.bin with ids 1 to 1000",
        digest="9d1af86057d3",
    ),
    "touch": RealSet(
        "36 objects under a fingertip", "touch-objects", {"data": "touch"}, "see docs/data.md, touch",
        digest="abdb95993e3f",
    ),
    "braille": RealSet(
        "27 Braille letters", "braille", {"data": "braille"}, "see docs/data.md, braille",
        digest="8c9b5d283d70",
    ),
    "neurons": RealSet(
        "7 pictures before 132 real neurons", "neurons-7-objects", {"data": "neurons"}, "see docs/data.md, neurons",
        digest="7480ac486eba",
    ),
    "cards": RealSet(
        "4 pips of cards, Poker-DVS", "poker-dvs", {"data": "events", "class_from": "^[a-z]+"},
        "http://www2.imse-cnm.csic.es/caviar/POKERDVS.html; files <pip>*.aedat", best={"shift": 2, "epochs": 25},
        digest="93a56d9e326a",
    ),
    "objects": RealSet(
        "7 objects before a DVS128", "dvs128-objects/session1", {"data": "events", "window_ms": 500},
        "recordings of objects by an event camera, a file a class, of which windows of 500 ms are cut",
        digest="381e76db06fb",
    ),
    "images": RealSet(
        "10,000 MNIST images, emulated camera", "mnist-images/mnist_train_0.npz", {"data": "images"},
        "http://yann.lecun.com/exdb/mnist: the first 10,000 of the training part, as an npz of images and labels",
        best=TURNED | {"epochs": 5},
        digest="b56e779ff1da",
    ),
}  # fmt: skip
"""All of them; the images, which take the longest, last."""

QUICK = {"limit": 40}
"""How a set is cut in the quick form, where it can be."""


def where(name: SetName, root: AnyPath | None) -> Path | None:
    """The set's own root.

    Raises:
        InputError: it is not there, or no root was given for it.
    """
    place = SETS[name].place
    if place is None:
        return None
    if root is None:
        raise InputError(
            f"the set {name} lies in {place} below a root; give --root, or leave the set out of --sets"
        )
    found = Path(root) / place
    if not found.exists():
        raise InputError(
            f"{found} is missing ({SETS[name].obtain}); leave {name} out of --sets, or restore it"
        )
    return found


def load(
    name: SetName, root: AnyPath | None, *, quick: bool = False, progress: Progress | None = None
) -> Splits:
    """The set in its three parts.

    Raises:
        InputError: it is missing, damaged, or its bins are others than those of the measured numbers.
    """
    found = SETS[name]
    how: dict[str, Any] = {**found.data, **(QUICK if quick else {})}
    return datasets.load(DataSpec(root=where(name, root), **how), progress=progress)


def is_known(name: SetName, digest: str) -> bool:
    """Whether the training part with this digest has the bins that numbers have been measured on."""
    return digest.removeprefix("rows:").startswith(SETS[name].digest)
