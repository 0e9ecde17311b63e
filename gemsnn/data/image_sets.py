"""Images from files and folders as one set: each content once, and what a user should know about them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gemsnn.data import cache, copies
from gemsnn.data.access import found_at, listing
from gemsnn.data.copies import Marked
from gemsnn.data.images import Images, load_images
from gemsnn.data.tally import MOST_NAMED, listed
from gemsnn.errors import InputError
from gemsnn.types import AnyPath


class ImageSet(NamedTuple):
    """Images, where they come from, and sentences about that.

    Attributes:
        source: the images and labels.
        files: the files they were read from, in order.
        starts: the position of each file's first image.
        notes: what a user should know.
    """

    source: Images
    files: tuple[str, ...]
    starts: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def name(self, position: int) -> str:
        """What to call an image in a message."""
        file = bisect_right(self.starts, position) - 1
        return f"image {position - self.starts[file]} of {self.files[file]}"

    def marks(self, positions: np.ndarray) -> list[Marked]:
        """These images by their content."""
        images, labels = self.source
        return [Marked(cache.digest(images[i]), int(labels[i]), self.name(i)) for i in positions.tolist()]


def read_images(root: AnyPath) -> ImageSet:
    """The images of a file, or of all image files of a folder in order of their names.

    A file may also lie in a folder of its own name, as MNIST is packed at Kaggle. Files that hold the same images and
    labels, such as one that lies there plain and packed, are read once, which a note tells.

    Raises:
        InputError: nothing found, a file cannot be used, or images differ in size.
    """
    root = Path(root)
    if found_at(root) != "folder":
        return ImageSet(load_images(root), (root.name,), (0,))
    paths = list(_image_files(root))
    if not paths:
        raise InputError(
            f"{root}: the folder holds no image files{_elsewhere(root)}; give a folder with .npz or IDX files "
            "(*-images-idx3-ubyte)"
        )
    loaded = [load_images(path) for path in paths]
    for path, (images, _) in zip(paths, loaded, strict=True):
        if images.shape[1:] != loaded[0].images.shape[1:]:
            raise InputError(f"{path}: images of {images.shape[1:]} pixels do not fit the others in {root}")
    names = [str(path.relative_to(root)) for path in paths]
    content = [cache.digest(images) + cache.digest(labels) for images, labels in loaded]
    found = copies.find([Marked(text, 0, name) for text, name in zip(content, names, strict=True)])
    kept = np.flatnonzero(found.first).tolist()
    starts = np.cumsum([0, *(len(loaded[i].labels) for i in kept[:-1])]).tolist()
    whole = Images(*(np.concatenate(columns) for columns in zip(*(loaded[i] for i in kept), strict=True)))
    files = tuple(names[i] for i in kept)
    notes = tuple(
        f"{copy} holds the same images as {before} and was left out, so that each is read once."
        for copy, before in found.copies
    )
    return ImageSet(whole, files, tuple(starts), notes + _official_test(files))


def _is_image_file(path: Path) -> bool:
    named = path.suffix == ".npz" or ("idx3" in path.name and "images" in path.name)
    return named and not path.name.startswith(".")  # macOS leaves such beside files from a zip


def _image_files(root: Path) -> Iterator[Path]:
    """The image files of a folder, and those in folders that have an image file's name."""
    for path in filter(_is_image_file, listing(root)):
        if found_at(path) != "folder":
            yield path
            continue
        inner = [file for file in listing(path) if _is_image_file(file) and found_at(file) == "file"]
        if not inner:
            raise InputError(
                f"{path}: this is a folder with an image file's name, but no image file is in it; put the file there, "
                "or move the folder away"
            )
        yield from inner


def _official_test(files: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence where MNIST's official test images lie beside its training images."""
    test = [file for file in files if Path(file).name.startswith("t10k")]
    if not test or len(test) == len(files):
        return ()
    return (
        f"The images of {', '.join(test)}, MNIST's official test part, are pooled with the others: 10 % of all images, "
        "drawn by their labels alone, are for testing.",
    )


def _elsewhere(root: Path) -> str:
    """Which folder below holds image files, to be told; nothing if none does."""
    below = (path for pattern in ("*/*", "*/*/*") for path in root.glob(pattern) if _is_image_file(path))
    found = next(below, None)
    return "" if found is None else f", but {found.parent} does"


def numbering(labels: np.ndarray) -> tuple[str, ...]:
    """A sentence where some class up to the highest label has no image at all."""
    classes = int(labels.max()) + 1
    missing = sorted(set(range(classes)) - set(labels.tolist()))
    if not missing:
        return ()
    named = listed([str(label) for label in missing[:MOST_NAMED]], len(missing))
    return (
        f"No image has the label {named}, but labels go up to {classes - 1}, so that there are {classes} classes: "
        "number them from 0 without gaps.",
    )
