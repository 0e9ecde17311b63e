"""Sets in one .npz: their recordings from files written here, their splits, damage, and the real files."""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared

from gemsnn.data.events import check_events
from gemsnn.data.parts import Item, Listing
from gemsnn.data.sets import braille, catalogue, neurons, touch
from gemsnn.errors import InputError

KNOWN = "is not the file that is known of this data set"
LETTERS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "space"]


def touch_arrays(**changed: object) -> dict[str, object]:
    """Three training recordings, the second without events, and one to test."""
    arrays = {
        "train_offsets": [0, 3, 3, 4],
        "train_bin": np.array([0, 7, 249, 5], np.uint16),
        "train_taxel": np.array([38, 0, 4, 9], np.uint8),
        "train_polarity": np.array([1, 0, 1, 0], np.uint8),
        "train_label": np.array([35, 0, 2], np.uint8),
        "test_offsets": [0, 2],
        "test_bin": np.array([1, 1], np.uint16),
        "test_taxel": np.array([3, 2], np.uint8),
        "test_polarity": np.array([0, 1], np.uint8),
        "test_label": np.array([2], np.uint8),
    }
    return arrays | changed


def braille_arrays(**changed: object) -> dict[str, object]:
    """A recording each of the repetitions 0, 2, 8 and 17: of A, A, B and C."""
    arrays = {
        "offsets": [0, 7, 8, 8, 11],
        "t_us": np.array([0, 5, 5, 9, 12, 20, 21, 3, 0, 1, 2], np.uint32),
        "taxel": np.array([80, 1, -1, 80, 80, 1, 80, 1, 1, -1, 1], np.int16),
        "adc": np.array([500, 9, -1, 510, 510, 4, 400, 7, 1, -1, 0], np.int16),
        "label": np.array([0, 0, 1, 2], np.uint8),
        "repetition": np.array([0, 2, 8, 17], np.uint8),
        "letters": np.array(LETTERS),
    }
    return arrays | changed


def neuron_arrays(cells: int = 4, each: int = 6, **changed: object) -> dict[str, object]:
    """Cells with ``each`` trials (the first cell one less) of two pictures at each of three positions.

    Trial ``k`` of cell ``i`` fires in the milliseconds ``i`` and ``100 + k``, so that a spike tells whose it is.
    """
    chance = np.random.default_rng(5)
    kinds = [chance.permutation(np.repeat(np.arange(6), each)) for _ in range(cells)]
    kinds[0] = kinds[0][1:]
    trials = np.array([len(kind) for kind in kinds])
    arrays = {
        "spike_offsets": np.concatenate([[0], np.cumsum(2 * trials)]),
        "spike_trial": np.concatenate([np.repeat(np.arange(n), 2) for n in trials]).astype(np.uint16),
        "spike_ms": np.concatenate([[(i, 100 + k) for k in range(n)] for i, n in enumerate(trials)]).ravel(),
        "trials": trials.astype(np.int16),
        "stimulus": np.concatenate(kinds).astype(np.uint8) // 3,
        "position": np.concatenate(kinds).astype(np.uint8) % 3,
        "stimuli": np.array(["car", "kiwi"]),
    }
    return arrays | changed


SETS = {
    "touch": (touch.listing, touch.FILE, touch_arrays),
    "braille": (braille.listing, braille.FILE, braille_arrays),
    "neurons": (neurons.listing, neurons.FILE, neuron_arrays),
}


def written(folder: Path, name: str, **changed: object) -> Listing:
    """The listing of a set's arrays with these changes (``None``: left out), from a file in a folder."""
    listing, file, arrays = SETS[name]
    kept = {key: array for key, array in arrays(**changed).items() if array is not None}
    np.savez_compressed(folder / file, **{key: np.asarray(array) for key, array in kept.items()})
    return listing(folder)


def of(listing: Listing, items: list[Item] | None = None) -> list[list[tuple[int, ...]]]:
    """All recordings' events as tuples ``(t, x, y, on)``, checked."""
    found = []
    for recording in listing.read(listing.train if items is None else items):
        assert (recording.width, recording.height) == (listing.width, listing.height)
        check_events(recording.events, recording.width, recording.height, "here")
        found.append([tuple(map(int, event)) for event in recording.events.tolist()])
    return found


@pytest.mark.parametrize("name", SETS)
def test_whatever_the_set(tmp_path: Path, name: str) -> None:
    listing = written(tmp_path, name)
    path = tmp_path / SETS[name][1]
    items = [*listing.train, *(listing.validation or ()), *listing.test]
    assert sorted(item.index for item in items) == list(range(len(items)))
    assert len({item.name for item in items}) == len(items)
    assert listing.height == 1
    again = pickle.loads(pickle.dumps(listing))  # as it goes to a process of its own
    assert of(again, items) == of(listing, items)
    by_file = SETS[name][0](str(path))  # a text will do, and the file as well as its folder
    assert by_file == listing
    assert KNOWN in listing.notes[0]
    assert len(listing.names) in (0, listing.classes)


@pytest.mark.parametrize("name", SETS)
def test_a_file_is_read_anew_when_it_has_changed(tmp_path: Path, name: str) -> None:
    listing = written(tmp_path, name)
    before = of(listing)
    times = {"touch": "train_bin", "braille": "t_us", "neurons": "spike_ms"}[name]
    held = SETS[name][2]()
    again = written(tmp_path, name, **{times: np.zeros_like(held[times]), "more": np.arange(9)})
    assert of(again, list(listing.train)) != before


@pytest.mark.parametrize("name", SETS)
def test_missing_and_foreign_files(tmp_path: Path, name: str) -> None:
    listing, file, arrays = SETS[name]
    with pytest.raises(InputError, match=f"no file {file} is here"):
        listing(tmp_path)
    with pytest.raises(InputError, match="there is no such file"):
        listing(tmp_path / "nowhere.npz")
    path = tmp_path / file
    for content in (b"", b"rubbish", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"is empty|damaged"):
            listing(tmp_path)
    np.savez(path, images=np.zeros((2, 3, 3)), labels=np.arange(2))
    with pytest.raises(InputError, match=r"needs the arrays .* but holds images, labels"):
        listing(tmp_path)
    np.savez_compressed(path, **{key: np.asarray(array) for key, array in arrays().items()})
    whole = path.read_bytes()
    for end in (len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match="damaged"):
            listing(tmp_path)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("touch", {"train_bin": None}, "needs the arrays .*'train_bin'"),
        ("touch", {"train_bin": np.array([0, 7, 250, 5])}, "'train_bin' must lie in 0 .. 249, not in 0 .. 250"),
        ("touch", {"train_bin": np.array([-1, 7, 9, 5])}, "'train_bin' must lie in 0 .. 249"),
        ("touch", {"train_bin": np.array([0, 7, 6, 5])}, "'train_bin' goes back in recording 0"),
        ("touch", {"train_bin": np.array([0.0, 7, 9, 5])}, "'train_bin' must hold whole numbers"),
        ("touch", {"train_bin": np.zeros((4, 1), int)}, r"'train_bin' must hold whole numbers \[n\]"),
        ("touch", {"train_bin": np.array([0, 1, 2, None])}, "'train_bin' holds Python objects"),
        ("touch", {"test_taxel": np.array([39, 0])}, "'test_taxel' must lie in 0 .. 38"),
        ("touch", {"test_taxel": np.array([3])}, "'test_taxel' has 1 entries where 2 belong"),
        ("touch", {"test_polarity": np.array([2, 0])}, "'test_polarity' must lie in 0 .. 1"),
        ("touch", {"test_label": np.array([36])}, "'test_label' must lie in 0 .. 35"),
        ("touch", {"test_label": np.array([1, 2])}, "'test_label' has 2 entries where 1 belong"),
        ("touch", {"train_offsets": [0, 3, 2, 4]}, "'train_offsets' must rise from 0 to the 4 events"),
        ("touch", {"train_offsets": [1, 3, 3, 4]}, "'train_offsets' must rise"),
        ("touch", {"train_offsets": [0, 3, 3, 5]}, "'train_offsets' must rise"),
        ("touch", {"train_offsets": [0]}, "'train_offsets' must rise"),
        ("braille", {"taxel": np.array([81, *[1] * 10])}, "'taxel' must lie in -1 .. 80"),
        ("braille", {"taxel": np.array([0, *[1] * 10])}, "0 occurs"),
        ("braille", {"adc": np.arange(12)}, "'adc' has 12 entries where 11 belong"),
        ("braille", {"t_us": np.arange(11)[::-1]}, "'t_us' goes back in recording 0"),
        ("braille", {"t_us": np.full(11, 10**9)}, "'t_us' must lie in 0 .. 60000000"),
        ("braille", {"label": np.array([0, 0, 1, 27])}, "'label' must lie in 0 .. 26"),
        ("braille", {"repetition": np.array([2, 2, 2, 7])}, "too few repetitions"),
        ("braille", {"letters": np.array(LETTERS[:26])}, "'letters' has 26 entries where 27 belong"),
        ("braille", {"letters": np.array(["A"] * 27)}, "27 different names"),
        ("braille", {"letters": np.arange(27)}, "'letters' must hold texts"),
        ("neurons", {"spike_ms": np.full(286, 1000)}, "'spike_ms' must lie in 0 .. 999"),
        ("neurons", {"spike_trial": np.full(286, 36)}, "a trial that its neuron does not have"),
        ("neurons", {"spike_trial": np.arange(286)[::-1] % 35}, "'spike_trial' goes back in recording 0"),
        ("neurons", {"trials": np.array([35, 36, 36])}, "'trials' has 3 entries where 4 belong"),
        ("neurons", {"trials": np.array([35, 36, 36, 37])}, "'stimulus' has 143 entries where 144 belong"),
        ("neurons", {"trials": np.array([35, 36, 72, 0])}, "'trials' must lie in 1 .. "),
        ("neurons", {"stimulus": np.full(143, 2)}, "'stimulus' must lie in 0 .. 1"),
        ("neurons", {"stimulus": np.zeros(143, int)}, "neuron 0 has 0 trials of the picture kiwi"),
        ("neurons", {"stimuli": np.array(["car"])}, "two different names or more"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path: Path, name: str, changed: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        written(tmp_path, name, **changed)
    assert str(tmp_path / SETS[name][1]) in str(refused.value)


def test_touch(tmp_path: Path) -> None:
    listing = written(tmp_path, "touch")
    assert (listing.width, listing.classes, listing.validation, listing.names) == (39, 36, None, ())
    assert [item.label for item in listing.train] == [35, 0, 2]
    assert [(item.label, item.index) for item in listing.test] == [(2, 3)]
    assert of(listing) == [
        [(0, 38, 0, 1), (140_000, 0, 0, 0), (4_980_000, 4, 0, 1)],
        [],
        [(100_000, 9, 0, 0)],
    ]
    assert of(listing, list(listing.test)) == [[(20_000, 3, 0, 0), (20_000, 2, 0, 1)]]
    assert of(listing, [listing.train[2], listing.train[0]]) == [of(listing)[2], of(listing)[0]]
    assert "nominal" in listing.notes[1]
    assert listing.notes[2] == "The training part has no recordings of class 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21 and 13 more."  # fmt: skip  # noqa: E501
    assert touch.BINS.bin_us * (touch.BINS.steps or 0) == touch.BIN_US * touch.STEPS


def published(folder: Path) -> None:
    """The recordings of :func:`touch_arrays` in the form that is published."""
    arrays = {name: np.asarray(array) for name, array in touch_arrays().items()}
    for part in ("train", "test"):
        offsets, step, taxel, polarity, label = (
            arrays[f"{part}_{name}"] for name in ("offsets", "bin", "taxel", "polarity", "label")
        )
        (folder / part).mkdir(parents=True)
        for i, number in enumerate(label):
            sheet, here = np.zeros((39, 2, 250), np.float32), slice(offsets[i], offsets[i + 1])
            sheet[taxel[here], polarity[here], step[here]] = 1
            # a text order of numbers would put 10 before 9
            np.save(folder / part / f"sample_{8 + i}_label_{number}.npy", sheet)
        (folder / part / "._sample_1_label_2.npy").write_bytes(b"left by another system")


def test_touch_as_published(tmp_path: Path) -> None:
    """The zip, the folder it unpacks to, and the .npz give the same."""
    (tmp_path / "packed").mkdir()
    packed = written(tmp_path / "packed", "touch")
    folder = tmp_path / "Ev-Objects"
    published(folder)
    with zipfile.ZipFile(tmp_path / "Ev-Objects.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    unpacked = [touch.listing(root) for root in (tmp_path, folder)]
    folder.rename(tmp_path / "elsewhere")
    for listing in [touch.listing(tmp_path), touch.listing(tmp_path / "Ev-Objects.zip")]:
        assert (listing.train, listing.test) == (packed.train, packed.test)
        assert sorted(map(sorted, of(listing))) == sorted(map(sorted, of(packed)))
        assert KNOWN in listing.notes[0]
    (tmp_path / "elsewhere").rename(folder)
    for listing in unpacked:
        assert (listing.train, listing.test) == (packed.train, packed.test)
        assert [sorted(events) for events in of(listing)] == [sorted(events) for events in of(packed)]
        assert listing.notes == packed.notes[1:]  # a folder has no digest

    path = folder / "train" / "sample_9_label_0.npy"
    for content, message in (
        (np.full((39, 2, 250), 0.5), r"sample_9_label_0\.npy must hold 0 and 1"),
        (np.zeros((39, 2, 251)), r"must have the shape \[39, 2, 250\], not \[39, 2, 251\]"),
        (np.full((39, 2, 250), None), "Python objects"),
    ):
        np.save(path, content, allow_pickle=True)
        with pytest.raises(InputError, match=message):
            touch.listing(tmp_path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="damaged header"):
        touch.listing(tmp_path)
    np.save(path, np.zeros((39, 2, 250)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"sample_9_label_0\.npy: the file is damaged"):
        touch.listing(tmp_path)
    np.save(path, np.zeros((39, 2, 250)))
    for path in (folder / "test").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"no file test/sample_<n>_label_<c>\.npy is here"):
        touch.listing(tmp_path)


def test_braille_events(tmp_path: Path) -> None:
    listing = written(tmp_path, "braille")
    assert listing.names == tuple(LETTERS)
    assert [item.name for item in listing.train] == ["letter A, repetition 0"]
    # of taxel 80: first, risen, the same, fallen; of taxel 1: first, fallen; the noise between them is no event
    assert of(listing) == [[(9, 79, 0, 1), (20, 0, 0, 0), (21, 79, 0, 0)]]
    # the recording before this one also had taxel 1: each begins anew; one without events stays
    assert [item.name for item in listing.test] == ["letter A, repetition 2", "letter C, repetition 17"]
    assert of(listing, list(listing.test)) == [[], [(2, 0, 0, 0)]]
    assert [item.label for item in listing.validation or ()] == [1]
    assert of(listing, list(listing.validation or ())) == [[]]
    assert "2 belong to no taxel, 4 are the first of their taxel, 1 repeat its value" in listing.notes[2]
    assert "the test part here (2 recordings)" in listing.notes[1]


@given(st.lists(st.tuples(st.sampled_from([-1, 1, 2, 80]), st.integers(0, 3)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_braille_polarity_is_the_sign_of_the_change(touched: list[tuple[int, int]]) -> None:
    """Against a loop that remembers each taxel's last value."""
    last: dict[int, int] = {}
    wanted = []
    for time, (taxel, value) in enumerate(touched):
        if taxel != -1:
            if value != last.get(taxel, value):
                wanted.append((time, taxel - 1, 0, value > last[taxel]))
            last[taxel] = value
    columns = np.array(touched, np.int16).reshape(-1, 2)
    events = braille.changes(np.arange(len(touched)), columns[:, 0], columns[:, 1])
    assert events.tolist() == wanted


def used(listing: Listing, items: object, first: np.ndarray) -> dict[tuple[int, int], Counter]:
    """How often each trial occurs, by neuron and picture."""
    found: dict[tuple[int, int], Counter] = {}
    for item in items:  # type: ignore[attr-defined]
        for neuron, trial in enumerate(item.source):
            assert first[neuron] <= trial < first[neuron + 1]
            found.setdefault((neuron, item.label), Counter())[trial] += 1
    return found


def check_populations(
    listing: Listing, trials: np.ndarray, stimulus: np.ndarray, position: np.ndarray
) -> None:
    """Trials are of their picture, in one part only, of all positions, and equally often; all are used."""
    first = np.concatenate([[0], np.cumsum(trials, dtype=int)])
    parts = {"training": listing.train, "validation": listing.validation, "test": listing.test}
    found = {name: used(listing, items, first) for name, items in parts.items()}
    for name, items in parts.items():
        assert Counter(item.label for item in items or ()) == dict.fromkeys(
            range(listing.classes), neurons.POPULATIONS[name]
        )
        for (_, picture), counts in found[name].items():
            assert {int(stimulus[trial]) for trial in counts} == {picture}
            assert max(counts.values()) - min(counts.values()) <= 1
            places = Counter(int(position[trial]) for trial in counts)
            assert max(places.values()) - min(places.values()) <= 1
            assert len(places) == min(3, len(counts))
    for key in found["training"]:
        sets = [set(found[name][key]) for name in parts]
        assert sum(map(len, sets)) == len(set.union(*sets))
        own = np.arange(first[key[0]], first[key[0] + 1])
        assert set.union(*sets) == set(own[stimulus[own] == key[1]].tolist())


def test_populations(tmp_path: Path) -> None:
    arrays = neuron_arrays()
    listing = written(tmp_path, "neurons")
    assert listing.names == ("car", "kiwi")
    assert (listing.width, listing.classes) == (4, 2)
    trials = np.asarray(arrays["trials"])
    check_populations(listing, trials, np.asarray(arrays["stimulus"]), np.asarray(arrays["position"]))
    first = np.concatenate([[0], np.cumsum(trials, dtype=int)])
    for item, events in zip(listing.test, of(listing, list(listing.test)), strict=True):
        own = [(1000 * i, i, 0, 1) for i in range(4)]
        tells = [(1000 * (100 + trial - first[i]), i, 0, 1) for i, trial in enumerate(item.source)]
        assert events == own + sorted(tells)


def test_the_official_parts_of_touch() -> None:
    path = shared("touch-objects", "ev_objects.npz")
    listing = touch.listing(path.parent)
    assert len(listing.notes) == 1
    assert Counter(item.label for item in listing.train) == dict.fromkeys(range(36), 16)
    assert Counter(item.label for item in listing.test) == dict.fromkeys(range(36), 4)
    (events,) = of(listing, [listing.test[-1]])
    with np.load(path) as held:
        assert len(events) == np.diff(held["test_offsets"])[-1]
        assert [event[1] for event in events] == held["test_taxel"][-len(events) :].tolist()


def test_real_letters() -> None:
    listing = braille.listing(shared("braille", "letters_train.npz"))
    assert KNOWN not in listing.notes[0]
    assert [len(part or ()) for part in (listing.train, listing.validation, listing.test)] == [706, 125, 248]
    for part, low, high in ((listing.train, 24, 29), (listing.validation or (), 4, 5), (listing.test, 6, 10)):
        counts = Counter(item.label for item in part)
        assert set(counts) == set(range(27))
        assert low <= min(counts.values()) <= max(counts.values()) <= high
    said = "306 belong to no taxel, 4073 are the first of their taxel, 689 repeat its value"
    assert listing.notes[1:] == (f"Events that tell of no change of a taxel are left out: {said}.",)
    items = [*listing.train, *(listing.validation or ()), *listing.test]
    events = sum(len(recording.events) for recording in listing.read(items))
    assert events == 527_939 - 306 - 4073 - 689
    fewest = min(len(recording.events) for recording in listing.read(items))
    assert fewest < 90  # a few are nearly empty, and stay


def test_real_neurons() -> None:
    path = shared("neurons-7-objects", "zhang_desimone.npz")
    listing = neurons.listing(path)
    assert listing.notes == ()
    assert listing.names == ("car", "couch", "face", "flower", "guitar", "hand", "kiwi")
    assert listing.width == 132
    with np.load(path) as held:
        check_populations(listing, held["trials"], held["stimulus"], held["position"])
    (events,) = of(listing, [listing.train[0]])
    assert 500 < len(events) < 3000
    assert max(event[0] for event in events) <= 999_000


def test_the_page_is_the_catalogue() -> None:
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
    assert page == catalogue.page(), "write it anew: python -m gemsnn.data.sets.catalogue > docs/data.md"


def test_the_catalogue_knows_what_the_sets_are(tmp_path: Path) -> None:
    for name, entry in catalogue.CATALOGUE.items():
        crop = entry.bins.window(*entry.sensor)  # it fits the sensor
        assert crop[2] * crop[3] * entry.bins.channels < 2**16
        assert (entry.listing is None) == (name not in SETS)
        for told in (entry.what, entry.obtain, entry.cite, entry.licence, entry.files, entry.splits):
            assert told
            assert not told.endswith(".")
    for name in ("touch", "braille"):
        listing = written(tmp_path, name)
        entry = catalogue.CATALOGUE[name]
        assert (listing.width, listing.height) == entry.sensor
        assert listing.classes == entry.classes


def test_the_catalogue_knows_the_real_files() -> None:
    for name, place in (("touch", "touch-objects"), ("braille", "braille"), ("neurons", "neurons-7-objects")):
        entry = catalogue.CATALOGUE[name]
        assert entry.listing is not None
        listing = entry.listing(shared(place))
        assert not any(KNOWN in note for note in listing.notes)
        assert (listing.width, listing.height) == entry.sensor
        assert listing.classes == entry.classes
        counts = [str(len(part or ())) for part in (listing.train, listing.validation, listing.test)]
        if name != "neurons":
            assert all(count in entry.splits for count in counts if count != "0")
        else:
            assert counts == [str(7 * number) for number in neurons.POPULATIONS.values()]
