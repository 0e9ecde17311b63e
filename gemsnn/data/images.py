"""Labelled images from files: the raw material of emulated recordings."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data import npy
from gemsnn.data.access import first_bytes, found_at, refusal
from gemsnn.data.npz import read_npz
from gemsnn.errors import InputError
from gemsnn.types import LARGEST_SIDE, AnyPath


class Images(NamedTuple):
    """Images uint8 ``[n, h, w]``, 0 black and 255 white, and their classes int64 ``[n]``."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def load_images(path: AnyPath) -> Images:
    """Read labelled images from a file.

    Two kinds of file are known:

    * ``.npz`` with the arrays ``images`` ``[n, h, w]`` (integers 0 .. 255, or floats 0 .. 1) and ``labels``
      ``[n]``; nothing is unpickled;
    * IDX (the format of MNIST), plain or ``.gz``: the name holds ``images`` and ``idx3``, and the labels lie
      beside it under the same name with ``labels`` and ``idx1``, plain or ``.gz``; either may lie in a folder of
      its own name.

    Raises:
        InputError: a file is missing, of another kind, damaged or truncated, announces more data than it can
            hold, or images and labels do not fit each other.
    """
    path = Path(path)
    if found_at(path) is None:
        raise InputError(f"{path}: there is no such image file; give an .npz or an IDX file")
    first_bytes(path)
    if path.suffix == ".npz":
        images, labels = read_npz(path, ("images", "labels")).values()
    elif "idx3" in path.name:
        images, labels = _read_idx(path, 3), _read_idx(_labels_beside(path), 1)
    else:
        raise InputError(
            f"{path}: this is no known image file; give an .npz or an IDX file (*-images-idx3-ubyte)"
        )
    return _checked(images, labels, path)


def digits_images() -> Images:
    """The 1,797 handwritten digits that come with scikit-learn, 8 x 8 pixels.

    They are the test set of E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998. Their 17 gray levels 0 .. 16 become 0 .. 255.
    """
    from sklearn.datasets import load_digits  # half a second to import, needed only here

    pixels, labels = (np.asarray(column) for column in load_digits(return_X_y=True))
    images = np.rint(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return Images(images, labels.astype(np.int64))


_FRAME, _GLYPH = 28, 20
_EDGE = 0.5
"""The gray level at which an edge is drawn: with it the digits have about as much ink as MNIST's."""


def framed(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Small digits without margin, drawn as MNIST draws its digits: 20 of 28 pixels high, nearly black and white.

    Pixels are interpolated bilinearly with black around them; gray levels near :data:`_EDGE` become an edge one
    pixel wide, all others black or white.

    Args:
        images: uint8 ``[n, h, w]`` with ``h = w``.

    Returns:
        uint8 ``[n, 28, 28]``.
    """
    side = images.shape[1]
    scale = side / _GLYPH
    place = (np.arange(_FRAME) + 0.5 - _FRAME / 2) * scale + (side - 1) / 2
    weights = np.maximum(1 - np.abs(place[:, None] - np.arange(side)), 0)
    gray = weights @ (images / 255.0) @ weights.T
    return np.rint(255 * np.clip(0.5 + (gray - _EDGE) / scale, 0, 1)).astype(np.uint8)


def _checked(images: NDArray, labels: NDArray, path: Path) -> Images:
    """Bring images to uint8 and labels to int64, or say what is wrong with them."""
    if images.ndim != 3 or 0 in images.shape[1:]:
        raise InputError(f"{path}: images must have the shape [n, height, width], not {list(images.shape)}")
    if len(images) == 0:
        raise InputError(f"{path}: the file holds no images")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{path}: labels must be whole numbers [n], not {labels.dtype} {list(labels.shape)}")
    if len(labels) != len(images):
        counts = f"{len(images)} images but {len(labels)} labels"
        raise InputError(f"{path}: there are {counts}; each image needs one label")
    if labels.min() < 0:
        raise InputError(f"{path}: label {labels.min()} is negative; number the classes from 0")
    if labels.max() >= LARGEST_SIDE:
        raise InputError(f"{path}: label {labels.max()} is too large; number the classes from 0 without gaps")
    if np.issubdtype(images.dtype, np.floating):
        if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
            raise InputError(f"{path}: images of floating-point numbers must lie in 0 .. 1, without NaN")
        images = np.rint(images * 255)
    elif not np.issubdtype(images.dtype, np.integer):
        raise InputError(f"{path}: images must be numbers, not {images.dtype}")
    elif images.min() < 0 or images.max() > 255:
        raise InputError(f"{path}: images of whole numbers must lie in 0 .. 255")
    return Images(images.astype(np.uint8), labels.astype(np.int64))


def _labels_beside(path: Path) -> Path:
    """The labels file of an IDX images file: beside it, or where images and labels each have a folder of their name."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    plain = name.removesuffix(".gz")
    forms = (plain, plain.replace(".idx1", "-idx1"), plain.replace("-idx1", ".idx1"))
    candidates = [*dict.fromkeys((name, *forms, *(form + ".gz" for form in forms)))]
    below = path.parent.name.replace("images", "labels").replace("idx3", "idx1")
    own = [path.parent.parent] if below != path.parent.name else []
    folders = [path.parent, *own, *(folder / below for folder in own)]
    for folder in folders:
        for candidate in candidates:
            for place in (folder / candidate, folder / candidate / candidate):
                if place != path and found_at(place) == "file":
                    return place
    raise InputError(f"{path}: the labels file {plain}[.gz] is missing beside it")


def _read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes: magic ``0 0 8 dimensions``, one big-endian uint32 a dimension, the data."""
    first_bytes(path)
    try:
        size = path.stat().st_size
        at_most = size * npy.EXPANSION if path.suffix == ".gz" else size
        with path.open("rb") as plain:
            file = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
            return _parse_idx(file, dimensions, at_most, path)
    except (OSError, EOFError, zlib.error) as error:
        damage = f"the file is damaged and cannot be read as IDX ({error}); download it again"
        raise refusal(path, error, damage) from error


def _parse_idx(
    file: IO[bytes] | gzip.GzipFile, dimensions: int, at_most: int, path: Path
) -> NDArray[np.uint8]:
    header = file.read(4 + 4 * dimensions)
    if len(header) >= 4 and header[:4] != bytes([0, 0, 8, dimensions]):
        raise InputError(
            f"{path}: wrong magic number {header[:4].hex()}; an IDX file of {dimensions}-dimensional bytes"
            f" begins with 000008{dimensions:02d}"
        )
    if len(header) < 4 + 4 * dimensions:
        raise InputError(f"{path}: the file ends within its header")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    promised = npy.afford(shape, 1, at_most, path)
    data = file.read(promised + 1)
    if len(data) != promised:
        problem = "more" if len(data) > promised else f"only {len(data)}"
        raise InputError(
            f"{path}: the header announces {promised} bytes of data but the file holds {problem}"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)
