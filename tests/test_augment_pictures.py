"""What a report shows of augmentation: counts against a loop over events, the file, and the section of the page."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from event_files import random_events
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from safetensors.numpy import load_file, save_file
from synthetic_run import write_run
from test_report import Page

from gemsnn.data.augment import AugmentSpec, augmented
from gemsnn.data.events import Events, make_events
from gemsnn.data.pictures import AS_IT_IS, EPOCHS, MOST_CELLS, STRETCHES, TRIED, Picture, pictures
from gemsnn.errors import InputError
from gemsnn.report import figures_recording, read_run, render
from gemsnn.runs.augmented import NAME, save_pictures
from gemsnn.store.records import RunFolder

SPEC = AugmentSpec(shift=2, flip=0.3, drop_time=0.2, noise_events=0.2)
EVENTS = random_events(np.random.default_rng(0), 400, 34, 280_000)
SENSOR = {"width": 34, "height": 34, "duration_us": 300_000}


def shown(events: Events = EVENTS, spec: AugmentSpec = SPEC, **changes: int) -> list[Picture]:
    return pictures(events, spec, **{**SENSOR, "seed": 3, "address": 7, **changes})


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(1, 1), (300, 1), (1, 20), (34, 34), (300, 200), (32768, 3)]),
    st.sampled_from([0, 1, 17_000, 3_000_000]),
    st.integers(0, 2**32),
)
def test_a_picture_counts_the_events_of_the_presentation(sides, duration, seed):
    (width, height), random = sides, np.random.default_rng(seed)
    t = np.sort(random.integers(0, duration + duration // 4 + 1, 60))
    events = make_events(t, *(random.integers(end, size=60) for end in (width, height, 2)))
    cell = max(1, -(-max(sides) // MOST_CELLS))
    on_sensor = min(sides) > 1
    size = (-(-height // cell), -(-width // cell)) if on_sensor else (-(-max(sides) // cell), STRETCHES)
    counts, over_time = np.zeros((*size, 2), int), np.zeros((STRETCHES, 2), int)
    for when, x, y, on in events.tolist():
        if when < duration:
            stretch = when * STRETCHES // duration
            place = (y // cell, x // cell) if on_sensor else (max(x, y) // cell, stretch)
            counts[(*place, int(on))] += 1
            over_time[stretch, int(on)] += 1
    first = shown(events, width=width, height=height, duration_us=duration)[0]
    assert (first.setting, first.epoch) == (AS_IT_IS, 0)
    assert first.counts.dtype == first.over_time.dtype == np.uint16
    np.testing.assert_array_equal(first.counts, counts)
    np.testing.assert_array_equal(first.over_time, over_time)


def test_counts_end_at_what_their_type_holds():
    many = make_events(np.zeros(70_000, int), *np.ones((3, 70_000), int))
    assert shown(many)[0].counts.max() == 2**16 - 1


def test_the_pictures_are_those_of_training():
    """All that is on in the first epochs, then each alone in the first epoch in which it does something."""
    found = shown()
    told = [(each.setting, each.epoch) for each in found]
    assert told[: EPOCHS + 1] == [(AS_IT_IS, 0), ("all", 1), ("all", 2), ("all", 3)]
    assert [setting for setting, _ in told[EPOCHS + 1 :]] == [
        "shift 2", "flip 0.3", "drop time 0.2", "noise events 0.2",
    ]  # fmt: skip

    def alone(spec: AugmentSpec, epoch: int) -> Events:
        return augmented(EVENTS, spec, **SENSOR, seed=3, address=7, epoch=epoch)

    for each, name in zip(found[EPOCHS + 1 :], SPEC.on, strict=True):
        spec = dataclasses.replace(AugmentSpec(), **{name: getattr(SPEC, name)})
        changed = [len(left := alone(spec, i)) != len(EVENTS) or (left != EVENTS).any() for i in range(TRIED)]
        assert each.epoch == changed.index(True) + 1
        np.testing.assert_array_equal(each.counts, counted(alone(spec, each.epoch - 1)))
    for epoch, each in enumerate(found[1 : EPOCHS + 1]):
        np.testing.assert_array_equal(each.counts, counted(alone(SPEC, epoch)))


def counted(events: Events) -> np.ndarray:
    counts = np.zeros((34, 34, 2), int)
    np.add.at(counts, (events["y"], events["x"], events["on"].astype(int)), events["t"] < 300_000)
    return counts


def test_a_setting_that_is_alone_is_not_shown_twice():
    assert [(each.setting, each.epoch) for each in shown(spec=AugmentSpec(shift=3))] == [
        (AS_IT_IS, 0), ("shift 3", 1), ("shift 3", 2), ("shift 3", 3),
    ]  # fmt: skip
    assert shown(spec=AugmentSpec()) == []


# -- the run's file and its report ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A run that has nothing else to draw."""
    run = write_run(tmp_path_factory.mktemp("runs") / "run", presentations=40, compartments=2, updates=1)
    for path in run.iterdir():
        if path.name not in ("manifest.json", "config.toml"):
            path.unlink()
    return run


@pytest.fixture
def run(begun, tmp_path) -> RunFolder:
    folder = RunFolder(shutil.copytree(begun, tmp_path / "run"))
    save_pictures(folder, EVENTS, SPEC, **SENSOR, seed=3, address=7)
    return folder


def test_a_run_without_augmentation_has_no_section(run):
    save_pictures(run, EVENTS, AugmentSpec(), **SENSOR, seed=3, address=7)
    assert not (run.path / NAME).exists()
    assert "What augmentation does" not in Page(render(read_run(run.path))).headings("h2")


def test_the_section_shows_the_pictures_and_says_what_they_are(run):
    page = Page(render(read_run(run.path)))
    headings = page.headings("h2")
    assert headings.index("What augmentation does") == headings.index("How it learned") + 1
    assert "A recording, as it is and as it is learned" in page.headings("h3")
    svg = page.source.split("A recording, as it is and as it is learned")[1].split("<figcaption>")[0]
    for word in ("as it is", "all", "epoch 1", "epoch 3", "shift 2", "flip 0.3", "drop time 0.2"):
        assert f">{word}<" in svg
    assert "swap" not in svg
    assert svg.count("<image") == 1 + EPOCHS + len(SPEC.on)
    assert "Recording 7. Pictures: its events, summed over the 300 ms of a presentation" in page.text
    assert "comes each setting alone" in page.text
    assert render(read_run(run.path)) == page.source


def test_one_setting_and_a_row_of_channels(run):
    events = random_events(np.random.default_rng(1), 300, 1, 280_000)
    events["x"] = np.random.default_rng(2).integers(0, 700, 300)
    save_pictures(
        run, events, AugmentSpec(shift=30), width=700, height=1, duration_us=300_000, seed=3, address=1234
    )
    text = Page(render(read_run(run.path))).text
    assert "by channel, from above, and time" in text
    assert "Below each" not in text
    assert "each setting alone" not in text
    assert re.search(r"Recording 1.234\.", text)


def test_a_figure_draws_the_counts(run, monkeypatch):
    """Each picture's strength is the root of its number of events, on one scale; its colour the share of ON."""
    found = read_run(run.path).augmented
    assert found is not None
    drawn, below = [], []
    monkeypatch.setattr(Axes, "imshow", lambda self, image, **_: drawn.append(image))
    monkeypatch.setattr(Axes, "stairs", lambda self, values, **_: below.append(values))
    figures_recording.augmented(found)
    total = found["counts"].sum(3, dtype=float)
    np.testing.assert_allclose(np.stack(drawn)[..., 3], np.sqrt(total / total.max()))
    np.testing.assert_array_equal(np.stack(below[0::2]), found["over_time"][..., 1])
    np.testing.assert_array_equal(np.stack(below[1::2]), -found["over_time"][..., 0].astype(int))


def test_no_events_can_be_drawn_too(run):
    save_pictures(run, EVENTS[:0], SPEC, width=1, height=34, duration_us=0, seed=0, address=0)
    Page(render(read_run(run.path)))
    save_pictures(run, EVENTS[:0], SPEC, **SENSOR, seed=0, address=0)
    Page(render(read_run(run.path)))


def test_a_large_sensor_makes_no_large_page(run):
    before = len(render(read_run(run.path)))
    events = random_events(np.random.default_rng(3), 50_000, 720, 280_000)
    full = AugmentSpec(9, 0.5, 0.5, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)
    save_pictures(run, events, full, width=1280, height=720, duration_us=300_000, seed=0, address=0)
    assert len(render(read_run(run.path))) < before + 500_000


def test_words_of_the_file_are_escaped(run):
    change(run, settings=["<b>&$x^2$"] * 8)
    page = Page(render(read_run(run.path)))
    assert "b" not in {tag for tag, _ in page.tags}
    assert "<b>&$x^2$" in page.text


def change(run: RunFolder, tensors: dict[str, np.ndarray] | None = None, **facts: object) -> None:
    found = read_run(run.path).augmented
    assert found is not None
    told = {name: found[name] for name in ("settings", "epochs", "index", "duration_us", "kind")}
    arrays = load_file(run.path / NAME) | (tensors or {})
    save_file(arrays, run.path / NAME, metadata={"pictures": json.dumps(told | facts)})


@pytest.mark.parametrize(
    ("tensors", "facts"),
    [
        ({"counts": np.zeros((8, 34, 34, 2), np.float32)}, {}),
        ({"counts": np.zeros((8, 34, 34), np.uint16)}, {}),
        ({"counts": np.zeros((8, 34, 34, 3), np.uint16)}, {}),
        ({"counts": np.zeros((8, 0, 34, 2), np.uint16)}, {}),
        ({"counts": np.zeros((8, 1, 1025, 2), np.uint16)}, {}),
        ({"over_time": np.zeros((7, 60, 2), np.uint16)}, {}),
        ({"over_time": np.zeros((8, 0, 2), np.uint16)}, {}),
        ({}, {"settings": ["all"]}),
        ({}, {"epochs": [1] * 9}),
        ({}, {"epochs": [-1] * 8}),
        ({}, {"settings": 8}),
        ({}, {"kind": "scene"}),
        ({}, {"duration_us": "long"}),
    ],
)
def test_a_file_that_holds_no_pictures_is_named(run, tensors, facts):
    change(run, tensors, **facts)
    with pytest.raises(InputError, match=re.escape(NAME)):
        read_run(run.path)


def test_a_damaged_file_is_named(run):
    for content in (b"{ not this", b""):
        (run.path / NAME).write_bytes(content)
        with pytest.raises(InputError, match=re.escape(NAME)):
            read_run(run.path)
    save_file({"counts": np.zeros((8, 3, 3, 2), np.uint16)}, run.path / NAME)
    with pytest.raises(InputError, match=re.escape(NAME)):
        read_run(run.path)
    save_file(
        {"counts": np.zeros((1, 3, 3, 2), np.uint16), "over_time": np.zeros((1, 3, 2), np.uint16)},
        run.path / NAME,
    )
    with pytest.raises(InputError, match=re.escape(NAME)):
        read_run(run.path)
