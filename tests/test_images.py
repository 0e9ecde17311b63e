"""Image files: what is read back, and what is refused before it costs memory."""

from __future__ import annotations

import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gemsnn.data.images import digits_images, framed, load_images
from gemsnn.errors import InputError

IMAGES = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)
LABELS = np.array([0, 1, 2, 1, 0], np.uint8)


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, images: bytes, labels: bytes | None, packed: bool = False) -> Path:
    pack, ending = (gzip.compress, ".gz") if packed else (bytes, "")
    path = folder / f"some-images-idx3-ubyte{ending}"
    path.write_bytes(pack(images))
    if labels is not None:
        (folder / f"some-labels-idx1-ubyte{ending}").write_bytes(pack(labels))
    return path


@given(data=st.data(), packed=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_idx_round_trip(tmp_path: Path, data: st.DataObject, packed: bool) -> None:
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9)))
    images = data.draw(hnp.arrays(np.uint8, shape))
    labels = data.draw(hnp.arrays(np.uint8, shape[0]))
    got = load_images(write_idx(tmp_path, idx(images), idx(labels), packed))
    assert np.array_equal(got.images, images)
    assert np.array_equal(got.labels, labels)
    assert got.images.dtype == np.uint8
    assert got.labels.dtype == np.int64


def test_labels_may_be_packed_when_images_are_not(tmp_path: Path) -> None:
    path = write_idx(tmp_path, idx(IMAGES), None)
    (tmp_path / "some-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    assert load_images(path).labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_bytes_and_of_floats(tmp_path: Path, save) -> None:
    save(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    save(
        tmp_path / "b.npz", images=np.asfortranarray(IMAGES / np.float32(255)), labels=LABELS.astype(np.int64)
    )
    first, second = load_images(tmp_path / "a.npz"), load_images(tmp_path / "b.npz")
    assert np.array_equal(first.images, IMAGES)
    assert np.array_equal(second.images, IMAGES)
    assert np.array_equal(first.labels, second.labels)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": IMAGES, "y_train": LABELS}, "needs the arrays"),
        ({"images": IMAGES}, "needs the arrays"),
        ({"images": IMAGES, "labels": LABELS[:3]}, "5 images but 3 labels"),
        ({"images": IMAGES[0], "labels": LABELS}, "shape"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "no images"),
        ({"images": IMAGES[:, :0], "labels": LABELS}, "shape"),
        ({"images": IMAGES * np.nan, "labels": LABELS}, "NaN"),
        ({"images": IMAGES * 2.0, "labels": LABELS}, r"0 \.\. 1"),
        ({"images": IMAGES.astype(int) - 1, "labels": LABELS}, r"0 \.\. 255"),
        ({"images": IMAGES.astype(str), "labels": LABELS}, "numbers"),
        ({"images": IMAGES, "labels": LABELS.astype(float)}, "whole numbers"),
        ({"images": IMAGES, "labels": LABELS.astype(int) - 1}, "negative"),
        ({"images": IMAGES, "labels": LABELS.astype(object)}, "Python objects"),
    ],
)
def test_unusable_npz(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_images(tmp_path / "bad.npz")


@pytest.mark.parametrize("content", [b"", b"no zip archive", b"PK\x03\x04 cut off"])
def test_damaged_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_images(tmp_path / "bad.npz")


def test_npz_that_promises_too_much_is_refused_unread(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        header = (
            repr({"descr": "|u1", "fortran_order": False, "shape": (10**9, 1000, 1000)}).ljust(117) + "\n"
        )
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.encode())
        archive.writestr("labels.npy", b"rubbish")
    with pytest.raises(InputError, match="announces 1000000000000000 bytes"):
        load_images(tmp_path / "bad.npz")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx(IMAGES)[:-1], idx(LABELS), "announces 60 bytes"),
        (idx(IMAGES) + b"\0", idx(LABELS), "announces 60 bytes"),
        (idx(IMAGES)[:9], idx(LABELS), "ends within its header"),
        (b"", idx(LABELS), "ends within its header|is empty"),
        (idx(LABELS), idx(LABELS), "magic"),
        (idx(IMAGES), idx(IMAGES), "magic"),
        (idx(IMAGES), idx(LABELS[:4]), "5 images but 4 labels"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12 + bytes(100), idx(LABELS), "announces"),
        (idx(IMAGES), None, "labels file .* is missing"),
    ],
)
def test_unusable_idx(
    tmp_path: Path, images: bytes, labels: bytes | None, message: str, packed: bool
) -> None:
    with pytest.raises(InputError, match=message):
        load_images(write_idx(tmp_path, images, labels, packed))


def test_idx_that_is_no_gzip(tmp_path: Path) -> None:
    path = tmp_path / "some-images-idx3-ubyte.gz"
    path.write_bytes(idx(IMAGES))
    (tmp_path / "some-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    with pytest.raises(InputError, match="damaged"):
        load_images(path)


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such image file"):
        load_images(tmp_path / "nothing.npz")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match="no known image file"):
        load_images(tmp_path / "picture.png")


def test_digits_of_scikit_learn() -> None:
    images, labels = digits_images()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.uint8
    assert images.max() == 255
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_framed_digits_are_as_tall_and_have_as_much_ink_as_mnist_digits() -> None:
    images = framed(digits_images().images)
    assert images.shape == (1797, 28, 28)
    rows = (images > 127).any(2).sum(1)
    assert 18 <= np.median(rows) <= 20
    assert 0.8 < images.mean() / 255 / 0.131 < 1.25  # 0.131 is the mean of the MNIST training images
    assert np.isin(images, (0, 255)).mean() > 0.8
