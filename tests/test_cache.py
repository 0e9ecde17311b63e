"""The cache: names, atomic files, damage."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from gemsnn.data import cache
from gemsnn.data.binning import BinSpec
from gemsnn.data.camera import EmulatorSpec
from gemsnn.data.spikeset import SpikeSet
from gemsnn.machine import places
from gemsnn.types import Layout


def make(counts: bool = False) -> SpikeSet:
    random = np.random.default_rng(0)
    bins = [random.integers(0, 2, (steps, 12), dtype=np.uint8) for steps in (3, 7, 1)]
    return SpikeSet.from_bins(bins, [0, 2, 1], Layout(2, 3, 2, 3, 25_000), counts=counts)


def same(a: SpikeSet, b: SpikeSet) -> bool:
    names = ("rows.indices", "rows.indptr", "starts", "labels", "address")
    pairs = [(attrgetter(name)(a), attrgetter(name)(b)) for name in names]
    arrays = all(np.array_equal(one, other) and one.dtype == other.dtype for one, other in pairs)
    counts = (a.rows.counts is None) == (b.rows.counts is None) and np.array_equal(a.rows.sizes, b.rows.sizes)
    return arrays and counts and a.layout == b.layout and a.counts == b.counts


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "cache"))


def test_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GEMSNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert places.cache_folder() == tmp_path / "xdg" / "gemsnn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    assert places.cache_folder() == tmp_path / ".cache" / "gemsnn"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert places.cache_folder() == tmp_path / "Library" / "Caches" / "gemsnn"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert places.cache_folder() == tmp_path / "local" / "gemsnn" / "cache"

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert places.cache_folder() == places.temporary_folder()


@pytest.mark.parametrize("counts", [False, True])
def test_round_trip(tmp_path: Path, counts: bool) -> None:
    cache.store(tmp_path / "a.safetensors", make(counts))
    kept = cache.load(tmp_path / "a.safetensors").spikes
    assert kept is not None
    assert same(kept, make(counts))
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_made_once() -> None:
    calls = []

    def once() -> SpikeSet:
        calls.append(1)
        return make()

    first, second = (cache.recall("some", {"seed": 1}, once) for _ in range(2))
    assert len(calls) == 1
    assert same(first, second)
    cache.recall("some", {"seed": 2}, once)
    assert len(calls) == 2


def test_every_ingredient_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((2, 3, 3), np.uint8)
    emulator = EmulatorSpec()
    ingredients = {"emulator": emulator, "bins": BinSpec(), "seed": 0, "images": cache.digest(images)}
    keys = {cache.key(ingredients)}
    changed = images.copy()
    changed[1, 2, 2] = 1
    others: list[dict] = [
        {"seed": 1},
        {"bins": BinSpec(bin_us=10_000)},
        {"images": cache.digest(changed)},
        {"images": cache.digest(images.reshape(3, 2, 3))},
        {"images": cache.digest(images.view(np.int8))},
    ]
    for field in fields(emulator):
        value = getattr(emulator, field.name)
        if field.name == "threshold_map":
            other = ("A" * 26,) * 52
        elif isinstance(value, bool):
            other = not value
        else:
            other = value + 1
        others.append({"emulator": replace(emulator, **{field.name: other})})
    keys |= {cache.key({**ingredients, **other}) for other in others}
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    keys.add(cache.key(ingredients))
    assert len(keys) == 2 + len(others)


def test_key_does_not_depend_on_order_and_refuses_arrays() -> None:
    assert cache.key({"a": 1, "b": 2}) == cache.key({"b": 2, "a": 1})
    with pytest.raises(TypeError, match="plain data"):
        cache.key({"a": np.zeros(3)})


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "rubbish", "folder facts"])
def test_damaged_file_is_made_again(damage: str) -> None:
    cache.recall("some", {}, make)
    (path,) = places.cache_folder().iterdir()
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-5]
    elif damage == "empty":
        content = bytearray()
    elif damage == "flip":
        content[-9] ^= 1
    elif damage == "rubbish":
        content = bytearray(b"rubbish" * 100)
    else:
        content = content.replace(b"25000", b"26000")
    path.write_bytes(content)
    assert cache.load(path) is None
    assert same(cache.recall("some", {}, make), make())
    kept = cache.load(path).spikes
    assert kept is not None
    assert same(kept, make())


def test_failed_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        cache.store(tmp_path / "a.safetensors", make())
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder_is_told_and_gives_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    assert same(cache.recall("some", {}, make), make())
    assert "cannot be written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_warns_and_gives_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.warns(UserWarning, match=r"cannot be written \(disk full\)"):
        assert same(cache.recall("some", {}, make), make())
