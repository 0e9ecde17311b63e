"""Emulated data sets: splits, limits, cache, threads."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from gemsnn.data import cache, generated
from gemsnn.data.binning import BinSpec
from gemsnn.data.camera import EmulatorSpec
from gemsnn.data.generated import emulate_set, limited, load_digits_events, load_image_events, split
from gemsnn.data.images import digits_images
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError

SHORT = EmulatorSpec(duration_us=50_000)
BINS = BinSpec(steps=2)


@pytest.fixture(autouse=True, scope="module")
def _own_folder(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEMSNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def same(a: SpikeSet, b: SpikeSet) -> bool:
    return all(
        np.array_equal(attrgetter(name)(a), attrgetter(name)(b))
        for name in ("rows.indices", "rows.indptr", "starts", "labels", "address")
    )


def test_the_number_of_threads_changes_nothing() -> None:
    images, labels = digits_images()
    images, labels = images[:150], labels[:150]
    sets = [emulate_set(images, labels, SHORT, BINS, classes=10, seed=3, threads=n) for n in (1, 2, 5)]
    assert same(sets[0], sets[1])
    assert same(sets[0], sets[2])


def test_recordings_do_not_depend_on_their_company() -> None:
    images, labels = digits_images()
    whole = emulate_set(images[:20], labels[:20], SHORT, BINS, classes=10, seed=3)
    some = np.array([17, 4, 9])
    part = emulate_set(images[some], labels[some], SHORT, BINS, classes=10, seed=3, index=some)
    assert same(part, whole.select(some))
    assert part.address.tolist() == [17, 4, 9]


def test_progress_sees_every_recording() -> None:
    seen = []

    def progress(iterable, length, description):
        for item in iterable:
            seen.append((length, description))
            yield item

    images, labels = digits_images()
    emulate_set(
        images[:5], labels[:5], SHORT, BINS, classes=10, seed=0, progress=progress, description="working"
    )
    assert seen == [(5, "working")] * 5


def test_digits_split() -> None:
    splits = load_digits_events(BINS, SHORT)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1200, 240, 357)
    parts = (splits.train, splits.validation, splits.test)
    index = np.concatenate([part.address for part in parts])
    assert sorted(index) == list(range(1797))
    labels = digits_images().labels
    for part in parts:
        assert np.array_equal(part.labels, labels[part.address])
        share = np.bincount(part.labels) / len(part)
        assert np.abs(share - np.bincount(labels) / 1797).max() < 1.01 / len(part)
    assert splits.train.layout == (2, 26, 26, 10, 25_000)
    # The split is frozen: other seeds have it too, and so must every later version.
    assert np.array_equal(load_digits_events(BINS, SHORT, seed=1).test.address, splits.test.address)
    assert not same(load_digits_events(BINS, SHORT, seed=1).test, splits.test)
    assert cache.digest(splits.test.address)[:16] == FROZEN


FROZEN = "2e0b909723cc9639"


def test_digits_come_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_digits_events(BINS, SHORT)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(generated, "emulate", refuse)
    assert same(load_digits_events(BINS, SHORT).train, first.train)
    merged = load_digits_events(replace(BINS, polarity="merged"), SHORT).train
    assert same(merged, first.train.merged())
    assert merged.layout.channels == 1
    with pytest.raises(AssertionError, match="made again"):
        load_digits_events(replace(BINS, bin_us=20_000), SHORT)


def test_limit_keeps_the_ratio_of_all_parts_and_the_classes() -> None:
    whole, some = load_digits_events(BINS, SHORT), load_digits_events(BINS, SHORT, limit=120)
    assert (len(some.train), len(some.validation), len(some.test)) == (100, 20, 30)  # 357 * 120 / 1440
    assert same(some.train, whole.train.select(slice(100)))
    assert same(some.validation, whole.validation.select(slice(20)))
    assert same(some.test, whole.test.select(slice(30)))
    assert "120 of 1440" in some.notes[-1]
    assert "30 of 357 to test on" in some.notes[-1]
    assert len(whole.notes) == 1
    assert np.bincount(some.train.labels).tolist() == pytest.approx([10] * 10, abs=1)
    assert np.bincount(some.validation.labels).tolist() == pytest.approx([2] * 10, abs=1)
    assert same(load_digits_events(BINS, SHORT, limit=5000).train, whole.train)


@pytest.mark.parametrize("limit", range(2, 30))
def test_limit_is_exact(limit: int) -> None:
    train, validation, test = limited(split(np.arange(40) % 3, 4, 4), limit)
    assert len(train) + len(validation) == limit
    assert min(len(train), len(validation)) >= 1
    assert len(test) == max(1, round(4 * limit / 36))


@pytest.mark.parametrize("limit", [-1, 0, 1])
def test_limit_too_small(limit: int) -> None:
    with pytest.raises(InputError, match="at least 2"):
        limited(split(np.arange(40) % 3, 4, 4), limit)


def test_images_from_a_file_and_a_folder(tmp_path: Path) -> None:
    images, labels = digits_images()
    np.savez(tmp_path / "a.npz", images=images[:60], labels=labels[:60])
    single = load_image_events(tmp_path / "a.npz", BINS, SHORT)
    assert (len(single.train), len(single.validation), len(single.test)) == (49, 5, 6)
    np.savez(tmp_path / "b.npz", images=images[60:100], labels=labels[60:100])
    (tmp_path / "notes.txt").write_text("not an image")
    both = load_image_events(tmp_path, BINS, SHORT)
    assert (len(both.train), len(both.validation), len(both.test)) == (81, 9, 10)
    assert np.array_equal(both.train.labels, labels[both.train.address])
    half = load_image_events(tmp_path, BINS, SHORT, validation=0.5)
    assert (len(half.train), len(half.validation)) == (45, 45)
    assert same(half.test, both.test)
    few = load_image_events(tmp_path, BINS, SHORT, limit=9)
    assert same(few.train, both.train.select(slice(8)))
    assert same(few.test, both.test.select(slice(1)))


def test_unusable_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image files"):
        load_image_events(tmp_path)
    images, labels = digits_images()
    np.savez(tmp_path / "a.npz", images=images[:4], labels=labels[:4])
    with pytest.raises(InputError, match="too few"):
        load_image_events(tmp_path)
    np.savez(tmp_path / "b.npz", images=images[:4, :5], labels=labels[:4])
    with pytest.raises(InputError, match="do not fit"):
        load_image_events(tmp_path)
    with pytest.raises(InputError, match="between 0 and 1"):
        load_image_events(tmp_path / "a.npz", validation=1.0)
    with pytest.raises(InputError, match="no such image file"):
        load_image_events(tmp_path / "missing.npz")
