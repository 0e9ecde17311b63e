"""What is fuzzed: a table of functions that take bytes and return, or raise :class:`InputError`, and nothing else.

A further target is one more line of :data:`TARGETS`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from fuzz import event_mutations, event_seeds, mutations, seeds
from fuzz.mutations import Mutation
from gemsnn import report
from gemsnn.data import wire
from gemsnn.data.arrivals import ArrivalSpec, EventBins
from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.events import Recording, check_events
from gemsnn.data.folders import find_recordings
from gemsnn.data.images import load_images
from gemsnn.data.readers import describe, read_aedat2, read_nmnist, read_recording
from gemsnn.data.readers.hdf5_spikes import open_spikes
from gemsnn.data.readers.mnist_dvs import find_mnist_dvs, read_files
from gemsnn.data.recordings import load_hdf5, load_mnist_dvs
from gemsnn.errors import InputError
from gemsnn.learn import state as states
from gemsnn.model import network as networks
from gemsnn.model.network import Network
from gemsnn.report import page, sections
from gemsnn.reproduce import k_sweep, part
from gemsnn.runs import config, loading
from gemsnn.store.checkpoints import Checkpoints
from gemsnn.store.records import RunFolder
from gemsnn.types import Layout


class Target(NamedTuple):
    """Something that reads what a user gives.

    Attributes:
        check: takes an input; any exception but :class:`InputError` is a crash.
        seeds: gives valid inputs.
        crafted: mutations that know the format; each input is made by one of them or by a blind one.
        share: of a run's inputs, relative to the other targets; slow targets get few.
    """

    check: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    crafted: tuple[Mutation, ...]
    share: float


@lru_cache
def folder() -> Path:
    """A folder for files that need a path, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="gemsnn-fuzz-", dir=memory if memory.is_dir() else None))


def clear() -> None:
    """Remove :func:`folder`."""
    if folder.cache_info().currsize:
        shutil.rmtree(folder())
        folder.cache_clear()


MOST_PIXELS = 2**20
"""Larger sensors, which a damaged header may claim, are not binned here."""

UNITS = (None, None, None, "us", "ms", "s", "ns")


def _file(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


def _whole(recording: Recording) -> None:
    """What was accepted must be in order, on the sensor, and fit to be binned."""
    check_events(recording.events, recording.width, recording.height, "accepted")
    assert len(recording.events)
    if recording.width * recording.height <= MOST_PIXELS:
        bins = bin_events(
            recording.events, BinSpec(25_000, 4), width=recording.width, height=recording.height
        )
        assert bins.shape == (4, 2 * recording.width * recording.height)
    assert all(note.isprintable() and note.endswith(".") for note in recording.notes)
    assert all(count > 0 for count in recording.repairs.values())


def _images(path: Path) -> None:
    images, labels = load_images(path)
    assert images.dtype == np.uint8
    assert images.ndim == 3
    assert len(images) == len(labels) > 0


def _idx(data: bytes) -> None:
    images, labels = seeds.unbundle(data, 2)
    end = ".gz" if images is not None and images.startswith(b"\x1f\x8b") else ""
    for old in folder().glob("*-idx1-ubyte*"):
        old.unlink()
    if labels is not None:
        _file("x-labels-idx1-ubyte" + (".gz" if labels.startswith(b"\x1f\x8b") else ""), labels)
    _images(_file(f"x-images-idx3-ubyte{end}", images or b""))


def _settings(data: bytes) -> None:
    settings = config.load(_file("x.toml", data))
    assert config.parse(config.dump(settings), "again") == settings
    assert settings.data.bins.channels in (1, 2)
    settings.network_spec(Layout(2, 26, 26, 10, 25_000))


def _zip(data: bytes) -> None:
    path = _file("x.zip", data)
    for recording in read_files(find_mnist_dvs(path, scale=None)):
        _whole(recording)
    load_mnist_dvs(path)


def _hdf5(data: bytes) -> None:
    path = _file("x.h5", data)
    found: list[InputError | None] = []
    for read in (describe, load_hdf5):
        try:
            read(path)
            found.append(None)
        except InputError as error:
            found.append(error)
    for error in filter(None, found):
        raise error


def _run(names: tuple[str, ...], data: bytes) -> Path:
    run = folder() / "run"
    shutil.rmtree(run, ignore_errors=True)
    (run / "checkpoint").mkdir(parents=True)
    for name, content in zip(names, seeds.unbundle(data, len(names)), strict=True):
        if content is not None:
            (run / name).write_bytes(content)
    return run


MODEL = ("config.toml", "manifest.json", "checkpoint/checkpoint.json", "checkpoint/tensors.safetensors")


@lru_cache
def _network() -> Network:
    """That of the seeds."""
    return networks.build(config.parse(seeds.SETTINGS, "seed").network_spec(seeds.LAYOUT))


def _checkpoint(data: bytes) -> None:
    run = RunFolder.open(_run(MODEL, data))
    tensors, facts = run.load_checkpoint()
    states.state_from(_network(), tensors, facts)
    run.cut_metrics(facts.get("metrics_bytes"))


def _model(data: bytes) -> None:
    """All that ``gemsnn evaluate`` and ``gemsnn train --resume`` read of a run folder."""
    trained = loading.load_model(_run(MODEL, data))
    network = trained.network
    assert trained.learner.params.weights["joint"].shape == (*network.mask.shape, network.taps.shape[0])


def _report(data: bytes) -> None:
    report.write_report(_run(seeds.RUN_FILES, data))


def _words(data: bytes) -> None:
    """The report without its figures, which take a second."""
    figures = [name for name in vars(sections) if name.startswith("figures_")]
    assert figures
    with mock.patch.multiple(sections, **dict.fromkeys(figures, mock.MagicMock(COMPARTMENTS=range(6)))):
        page.render(report.read_run(_run(seeds.RUN_FILES, data))).encode()


def _sweep(data: bytes) -> None:
    """All that a sweep reads of the parts that are there."""
    found = []
    for seed, content in enumerate(seeds.unbundle(data, 2)):
        path = _file(f"{seed}.json", content or b"")
        found.append(part.read(part.Job("", 2, seed, 2, str(path))))
    k_sweep.table(k_sweep.summary(found))


_ARRIVALS = ArrivalSpec(seeds.LAYOUT)


def _datagram(data: bytes) -> None:
    """One datagram, and all the bins that its events open and close."""
    bins = EventBins(_ARRIVALS)
    message = wire.read_lines(data.split(b"\n")) if wire.is_text(data) else wire.read_datagram(data)
    for block in (*bins.push(message.events), *bins.finish()):
        assert block.shape[1] == seeds.LAYOUT.inputs


def _line(data: bytes) -> None:
    if data.startswith(wire.LABEL):
        wire.read_label(data)
    else:
        wire.events_of([wire.read_event(data)])


def _state(data: bytes) -> None:
    """All that a stream takes up of a saved state."""
    run = _run(("checkpoint/checkpoint.json", "checkpoint/tensors.safetensors"), data)
    tensors, _ = Checkpoints(run / "checkpoint").load()
    seeds.stream_learner().restore(tensors)


_NAMES = (
    "x.aedat",
    "x.bin",
    "x.npz",
    "x.h5",
    "x.zip",
    "x-images-idx3-ubyte",
    "x-images-idx3-ubyte.gz",
    "x.dat",
    "x",
)


def _recording(data: bytes) -> None:
    """A file of any kind, under a name that tells nothing."""
    _whole(read_recording(_file("x", data)))


def _columns(data: bytes) -> None:
    """A file whose times may have any unit, which is told or not."""
    _whole(read_recording(_file("x", data), time_unit=UNITS[sum(data[-4:]) % len(UNITS)]))


def _layouts(data: bytes) -> None:
    """An HDF5 file as one recording, as many, and as described."""
    path = _file("x", data)
    found: list[InputError] = []
    for read in (read_recording, _spoken, describe):
        try:
            read(path)
        except InputError as error:
            found.append(error)
    if len(found) == 3:
        raise found[0]


def _spoken(path: Path) -> None:
    with open_spikes(path) as held:
        for recording in held:
            _whole(recording)


def _folder(data: bytes) -> None:
    """What is found in a folder with these names and labels."""
    root = folder() / "tree"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    labels, names, expression = (part or b"" for part in seeds.unbundle(data, 3))
    for at, name in enumerate(names.decode("utf-8", "replace").splitlines()[:40]):
        path = root / name.strip("/").replace("\0", "").replace("..", "")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(event_seeds.recordings()[at % len(event_seeds.recordings())])
    if labels:
        (root / "labels.csv").write_bytes(labels)
    found = find_recordings(root, class_from=expression.decode("latin1") or None)
    assert found.entries
    assert {entry.label for entry in found.entries} == set(found.classes)
    assert all(entry.path.is_file() and root in entry.path.parents for entry in found.entries)


def _describe(data: bytes) -> None:
    describe(_file(_NAMES[sum(data[-4:]) % len(_NAMES)], data))


def _any_file() -> list[bytes]:
    kinds: Any = (seeds.aedat2_files, seeds.nmnist_files, seeds.npz_files, seeds.zip_files, seeds.hdf5_files)
    kinds += (event_seeds.text_files, event_seeds.npy_files, event_seeds.npz_files, event_seeds.hdf5_files)
    kinds += (event_seeds.raw_files,)
    return [data for make in kinds for data in make()] + seeds.idx_files()[0].split(seeds.SEAM)


TARGETS: dict[str, Target] = {
    "aedat2": Target(
        lambda data: _whole(read_aedat2(data, "x")), seeds.aedat2_files, (mutations.aedat2_events,), 25
    ),
    "nmnist": Target(
        lambda data: _whole(read_nmnist(data, "x")), seeds.nmnist_files, (mutations.nmnist_events,), 20
    ),
    "settings": Target(_settings, seeds.settings_files, (mutations.change_toml,), 10),
    "npz": Target(lambda data: _images(_file("x.npz", data)), seeds.npz_files, (mutations.npz,), 10),
    "idx": Target(_idx, seeds.idx_files, (mutations.idx,), 10),
    "checkpoint": Target(_checkpoint, seeds.model_files, (mutations.model,), 8),
    "model": Target(_model, seeds.model_files, (mutations.model,), 4),
    "words": Target(_words, seeds.run_files, (mutations.run_folder,), 3),
    "describe": Target(_describe, _any_file, (), 4),
    "datagram": Target(_datagram, seeds.datagrams, (mutations.datagram,), 8),
    "line": Target(_line, seeds.lines, (mutations.fields,), 8),
    "state": Target(_state, seeds.state_files, (mutations.state,), 0.5),
    "sweep": Target(_sweep, seeds.part_files, (mutations.parts,), 3),
    "zip": Target(_zip, seeds.zip_files, (mutations.dvs_zip,), 2),
    "hdf5": Target(_hdf5, seeds.hdf5_files, (mutations.hdf5,), 1),
    "text": Target(_columns, event_seeds.text_files, (event_mutations.text,), 10),
    "npy-events": Target(_columns, event_seeds.npy_files, (event_mutations.npy_events,), 10),
    "npz-events": Target(_columns, event_seeds.npz_files, (event_mutations.npz_events,), 4),
    "layouts": Target(_layouts, event_seeds.hdf5_files, (event_mutations.hdf5_events,), 2),
    "raw": Target(_recording, event_seeds.raw_files, (event_mutations.raw,), 10),
    "faery": Target(_recording, event_seeds.faery_files, (), 4),
    "folder": Target(_folder, event_seeds.folders, (event_mutations.folder,), 4),
    "report": Target(_report, seeds.run_files, (mutations.run_folder,), 0.01),
}


def make_input(name: str, seed: int, index: int) -> bytes:
    """The input of this number: a valid one (every 100th), or a damaged one. The same numbers give the same bytes."""
    target = TARGETS[name]
    random = Random(f"{name}/{seed}/{index}")
    data = random.choice(target.seeds())
    if index % 100 == 0:
        return data
    if target.crafted and random.random() < 0.6:
        data = random.choice(target.crafted)(random, data)
        return mutations.blind(random, data) if random.random() < 0.1 else data
    return mutations.noise(random, data) if random.random() < 0.05 else mutations.blind(random, data)


def check(name: str, data: bytes) -> str | None:
    """Run one input: ``None`` if it was accepted, the refusal's words if it was refused; all else is raised."""
    try:
        TARGETS[name].check(data)
    except InputError as error:
        words = str(error)
        assert words, "a refusal without words"
        assert words.isprintable(), f"a refusal that is not one line of text: {words!r}"
        assert len(words) <= 1000, f"a refusal of {len(words)} characters"
        return words
    return None
