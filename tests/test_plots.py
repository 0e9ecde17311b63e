"""Pictures hold what they are given: each spike once, the binomial distribution's bands, the weights, the sets."""

from __future__ import annotations

import itertools
import math
import re
import shutil
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

import gemsnn
from gemsnn import plots
from gemsnn.data.events import Recording, make_events
from gemsnn.errors import InputError
from gemsnn.model import receptive
from gemsnn.plots.looks import SERIES
from gemsnn.plots.spikes import MOST_MARKS, pooled
from gemsnn.scoring import chance
from gemsnn.types import Layout

mpl.use("agg")

rng = np.random.default_rng(0)
LAYOUT = Layout(2, 3, 4, 2, 1000)
EVENTS = make_events(
    np.sort(rng.integers(0, 10_000, 400)),
    rng.integers(0, 4, 400),
    rng.integers(0, 3, 400),
    rng.random(400) < 0.4,
)
BINS = rng.random((20, LAYOUT.inputs)) < 0.2
CELLS = [
    {"low": c - 0.05, "high": c, "confidence": c - 0.02, "accuracy": a, "count": n}
    for c, a, n in ((0.4, 0.25, 8), (0.7, 0.8, 40), (1.0, 0.97, 300))
]
CURVE = [{"coverage": c, "accuracy": a} for c, a in ((0.2, 1.0), (0.5, 0.95), (1.0, 0.8))]


def scores(**changes: object) -> dict[str, object]:
    return {
        "presentations": 200, "classes": 4, "reliability": CELLS, "selective": CURVE, "names": ["a", "b", "c", "d"],
        "by_compartments": [
            {"compartments": k, "accuracy": 0.5 + 0.04 * k, "ece": 0.3 / k, "nll": 1 / k} for k in range(1, 6)
        ],
        "by_time": [{"ms": 10.0 * t, "accuracy": 0.2 + 0.05 * t, "ece": 0.1, "nll": 2 / t} for t in range(1, 9)],
        "confusion": [[8.0, 2.0, 0, 0], [0, 10.0, 0, 0], [0.5, 0, 9.5, 0], [0, 0, 3.0, 7.0]],
        **changes,
    }  # fmt: skip


def axes() -> Axes:
    return Figure().subplots()


def marks(ax: Axes) -> list[tuple[float, float]]:
    """The middles of the strokes of all lines."""
    found = []
    for line in ax.lines:
        data = np.asarray(line.get_xydata())
        if len(data) and len(data) % 3 == 0 and np.isnan(data[2::3]).all():
            found += [
                ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in zip(data[::3], data[1::3], strict=True)
            ]
    return found


# -- rasters -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 12),
    st.integers(1, 60),
    st.floats(0, 1),
    st.sampled_from([None, 500]),
    st.integers(0, 2**31),
)
def test_a_raster_holds_each_spike_once(steps, neurons, density, bin_us, seed):
    spikes = np.random.default_rng(seed).random((steps, neurons)) < density
    scale = 1 if bin_us is None else bin_us / 1000
    expected = sorted(((t + 0.5) * scale, float(n)) for t, n in zip(*np.nonzero(spikes), strict=True))
    for shown in (spikes, torch.from_numpy(spikes)):
        found = sorted(marks(plots.raster(shown, bin_us=bin_us, ax=axes())))
        np.testing.assert_allclose(np.array(found).reshape(-1, 2), np.array(expected).reshape(-1, 2))


@pytest.mark.parametrize("by", ["compartment", "neuron"])
@pytest.mark.parametrize("neurons", [3, 90])
def test_a_raster_of_compartments_gives_each_its_colour_and_row(by, neurons):
    spikes = rng.random((3, 15, neurons)) < 0.2
    ax = plots.compartment_raster(spikes, by=by, bin_us=2000, ax=axes())
    assert [line.get_color() for line in ax.lines] == list(SERIES[:3])
    for k, line in enumerate(ax.lines):
        data = np.asarray(line.get_xydata()).reshape(-1, 3, 2)
        step = (data[:, :2, 0].mean(1) / 2 - 0.5).round().astype(int)
        height = data[:, :2, 1].mean(1)
        if by == "compartment":
            assert (abs(height - k) < 0.5).all()
            neuron = ((height - k + 0.46) / 0.92 * neurons - 0.5).round().astype(int)
        else:
            neuron = height.round().astype(int)
            np.testing.assert_allclose(height - neuron, (k + 0.5) / 3 - 0.5)
        assert sorted(zip(step.tolist(), neuron.tolist(), strict=True)) == sorted(
            map(tuple, np.argwhere(spikes[k]).tolist())
        )


def test_many_spikes_are_pixels_that_lose_none():
    spikes = rng.random((1500, 300)) < 0.05
    assert spikes.sum() > MOST_MARKS
    ax = plots.raster(spikes, ax=axes())
    assert not marks(ax)
    (picture,) = ax.images
    strength = np.asarray(picture.get_array())[..., 3] ** 2
    small = pooled(spikes.T, 192)
    np.testing.assert_allclose(strength, small / small.max())
    rows, columns = (np.diff(np.append(np.linspace(0, n, m, endpoint=False).astype(int), n))
                     for n, m in ((300, 192), (1500, 1000)))  # fmt: skip
    assert (small * rows[:, None] * columns).sum() == pytest.approx(spikes.sum())
    several = plots.compartment_raster(np.stack([spikes, spikes]), ax=axes()).images[0]
    assert several.get_extent() == [0, 1500, 1.5, -0.5]
    assert np.asarray(several.get_array())[0, 0, :3].tolist() == pytest.approx(to_rgb(SERIES[0]))


def test_ticks_are_drawn_by_the_very_spikes_of_the_svg(tmp_path):
    """Nothing is simplified away, and nothing is a bitmap."""
    spikes = rng.random((200, 50)) < 0.1
    ax = plots.raster(spikes, ax=axes())
    text = plots.save(ax, tmp_path / "raster.svg").read_text()
    assert max(part.count("M ") for part in re.findall(r' d="([^"]*)"', text)) == spikes.sum()


def test_votes_are_dots_in_the_rows_of_their_classes():
    votes = rng.integers(0, 5, 20)
    ax = plots.votes(votes, 5, label=2, answer=1, ax=axes())
    (dots,) = ax.collections
    places = np.asarray(dots.get_offsets())
    assert sorted(places[:, 1].astype(int).tolist()) == sorted(votes.tolist())
    assert len({tuple(place) for place in places.tolist()}) == 20
    with pytest.raises(InputError, match="votes must be for classes 0 to 2"):
        plots.votes([3], 3, ax=axes())


# -- reliability ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 60))
def test_bars_are_those_of_scipys_wilson_interval(right, count):
    right = min(right, count)
    cell = {"confidence": 0.6, "accuracy": right / count, "count": count}
    ax = plots.reliability([cell], ax=axes())
    ((low, high),) = [
        segment[:, 1]
        for each in ax.collections
        if isinstance(each, LineCollection)
        for segment in each.get_segments()
    ]
    wanted = stats.binomtest(right, count).proportion_ci(1 - 2 * stats.norm.sf(chance.BEYOND), "wilson")
    assert (low, high) == pytest.approx((100 * wanted.low, 100 * wanted.high), abs=1e-7)


@settings(deadline=None)
@given(st.floats(0.01, 0.99), st.integers(1, 40))
def test_consistent_bands_are_quantiles_of_the_binomial_distribution(claimed, count):
    """Against a sum of its probabilities with whole binomial coefficients."""
    ax = plots.reliability(
        [{"confidence": claimed, "accuracy": 0.5, "count": count}], bands="consistent", ax=axes()
    )
    (bar,) = ax.patches
    low, high = bar.get_y() * count / 100, (bar.get_y() + bar.get_height()) * count / 100
    mass = [math.comb(count, k) * claimed**k * (1 - claimed) ** (count - k) for k in range(count + 1)]
    tail = stats.norm.sf(chance.BEYOND)
    at_most = list(itertools.accumulate(mass))
    low, high = round(low), round(high)
    assert (at_most[low - 1] if low else 0.0) < tail + 1e-12  # beyond either end lies no more than the tail
    assert 1 - at_most[high] <= tail + 1e-12
    assert at_most[low] >= tail - 1e-12  # and within them no more than is needed
    assert high == 0 or 1 - at_most[high - 1] > tail - 1e-12
    assert (low, high) == (stats.binom.ppf(tail, count, claimed), stats.binom.ppf(1 - tail, count, claimed))


def test_dots_are_the_cells():
    for given_ in (scores(), CELLS, [SimpleNamespace(**cell) for cell in CELLS]):
        ax = plots.reliability(given_, ax=axes())
        dots = np.asarray(ax.collections[-1].get_offsets())
        np.testing.assert_allclose(dots, [[100 * c["confidence"], 100 * c["accuracy"]] for c in CELLS])
        heights = [bar.get_height() for bar in plots.confidences(given_, ax=axes()).patches]
        assert heights == [8, 40, 300]
    size = ax.collections[-1].get_sizes()
    np.testing.assert_allclose((size - 14) / (size[-1] - 14), [8 / 300, 40 / 300, 1])


def test_empty_cells_are_left_out():
    empty = {"low": 0.0, "high": 0.1, "confidence": None, "accuracy": None, "count": 0}
    ax = plots.reliability([empty, *CELLS], ax=axes())
    assert len(np.asarray(ax.collections[-1].get_offsets())) == 3
    with pytest.raises(InputError, match="the scores hold no reliability"):
        plots.reliability({}, ax=axes())


@pytest.mark.parametrize(
    ("draw", "name", "at"),
    [
        (plots.against_compartments, "by_compartments", "compartments"),
        (plots.over_time, "by_time", "ms"),
        (plots.selective, "selective", "coverage"),
    ],
)
def test_curves_hold_their_numbers_inside_wilsons_band(draw, name, at):
    ax = draw(scores(), ax=axes())
    rows = scores()[name]
    assert isinstance(rows, list)
    factor = 100 if at == "coverage" else 1
    np.testing.assert_allclose(
        np.asarray(ax.lines[0].get_xydata()), [[factor * row[at], 100 * row["accuracy"]] for row in rows]
    )
    (band,) = ax.collections
    edges = band.get_paths()[0].vertices
    for row in rows:
        count = 200 * row.get("coverage", 1)
        inside = edges[np.isclose(edges[:, 0], factor * row[at]), 1]
        wanted = chance.wilson(row["accuracy"], count)
        assert (inside.min(), inside.max()) == pytest.approx((100 * wanted[0], 100 * wanted[1]))
    low, high = ax.get_ylim()
    assert low <= 25  # from guessing among four
    assert high >= 100


@pytest.mark.parametrize(("nll", "drawn"), [(0.5, [10, 3]), (None, [3])])
def test_compartments_are_counted_from_one(nll, drawn):
    """To the most that any line has, also where no score is known."""
    axes = None
    for most in drawn:
        rows = [{"compartments": count + 1, "nll": nll} for count in range(most)]
        axes = plots.against_compartments(rows, "nll", ax=axes)
    assert axes is not None
    ticks = axes.get_xticks()
    assert ticks[0] == 1
    assert ticks[-1] == max(drawn)
    assert all(tick == round(tick) for tick in ticks)


def test_a_warm_up_has_no_answers():
    ax = plots.over_time(scores(), "nll", warm_up_ms=30, ax=axes())
    assert np.asarray(ax.lines[0].get_xdata()).tolist() == [40, 50, 60, 70, 80]
    assert any(text.get_text() == "warm-up" for text in ax.texts)
    before = ax.get_ylim()[1]
    assert plots.reference(ax, 3.0, "baseline", percent=False) is ax
    assert before < 3 < ax.get_ylim()[1]


def test_a_confusion_matrix_has_its_numbers():
    ax = plots.confusion(scores(), ax=axes())
    counts = np.array(scores()["confusion"])
    told = {tuple(map(int, text.get_position()[::-1])): float(text.get_text()) for text in ax.texts}
    assert told == {(i, j): n for (i, j), n in np.ndenumerate(counts) if n}
    shade = np.asarray(ax.images[0].get_array())[..., 3]
    np.testing.assert_allclose((shade - 0.04) / 0.96, counts / 10)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b", "c", "d"]


def test_learning_curves_hold_the_history():
    history = [
        {
            "kind": "train",
            "presentations": 4 * i,
            "loss": 9 - i,
            "bound": i - 8.5,
            "ess": 2.0,
            "hidden_rate": 0.1 * i,
        }
        for i in range(1, 9)
    ]
    history += [{"kind": "epoch", "epoch": e, "nll": 2 / e} for e in (1, 2, 3)]
    bound, mean = plots.learning(history, ax=axes()).lines
    assert np.asarray(bound.get_ydata()).tolist() == [i - 8.5 for i in range(1, 9)]
    assert np.asarray(mean.get_ydata()).tolist() == [i - 9 for i in range(1, 9)]
    alone = [{**row, "bound": -row["loss"]} for row in history[:8]]
    assert len(plots.learning(alone, ax=axes()).lines) == 1
    nll, kept = plots.learning(history, "nll", kept=2, ax=axes()).lines
    assert np.asarray(nll.get_ydata()).tolist() == [2, 1, 2 / 3]
    assert np.asarray(kept.get_xydata()).tolist() == [[2, 1]]
    with pytest.raises(InputError, match="the scores hold no lines of kind 'evaluation'"):
        plots.learning(history, "accuracy", ax=axes())


# -- answers over time ---------------------------------------------------------------------------------------------


def test_votes_over_time_are_their_shares():
    votes = rng.integers(0, 4, (7, 30))
    ax = plots.votes_over_time(votes, 4, bin_us=1000, label=3, ax=axes())
    found = {tuple(np.asarray(line.get_ydata()).round(6)) for line in ax.lines}
    wanted = [[100 * np.mean(votes[:, t] == c) for t in range(30)] for c in range(4)]
    assert found == {tuple(np.round(each, 6)) for each in wanted}
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text() == "3 (right)"
    shares = np.full((5, 3), np.nan)
    shares[2:] = [[0.5, 0.25, 0.25], [0.2, 0.6, 0.2], [0, 1, 0]]
    lines = plots.votes_over_time(shares, ax=axes()).lines
    assert sorted(line.get_color() for line in lines)[0] == SERIES[0]
    assert sum(np.isfinite(np.asarray(line.get_ydata(), float)).sum() for line in lines) == 9
    assert np.isfinite(shares).sum() == 9  # what was given is as it was
    for wrong, said in ((votes + 4, "votes must be for classes"), (shares + 3, "must lie between 0 and 1")):
        with pytest.raises(InputError, match=said):
            plots.votes_over_time(wrong, 4, ax=axes())
    with pytest.raises(InputError, match="need classes"):
        plots.votes_over_time(votes, ax=axes())


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=20))
def test_set_sizes_are_those_of_the_sets(inside):
    held = np.array(inside)
    sets = [tuple(np.flatnonzero(row).tolist()) for row in held]
    answers = [SimpleNamespace(verdict=SimpleNamespace(classes=each)) for each in sets]
    for shown in (held, torch.from_numpy(held), sets, answers):
        ax = plots.set_size(shown, bin_us=5000, ax=axes())
        data = np.asarray(ax.lines[0].get_xydata())
        np.testing.assert_array_equal(data[:, 1], held.sum(1))
        np.testing.assert_allclose(data[:, 0], 5.0 * np.arange(1, len(held) + 1))
    bars = plots.set_sizes(sets, ax=axes()).patches
    found = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in bars}
    assert found == {size: int((held.sum(1) == size).sum()) for size in set(held.sum(1).tolist())}


def test_what_are_no_sets():
    for wrong in (np.ones((3, 4)), ["abc"], [3, 4]):
        with pytest.raises(InputError, match="sets"):
            plots.set_size(wrong, ax=axes())
    with pytest.raises(InputError, match="times_ms must be 2"):
        plots.set_size([(1,), (2, 3)], times_ms=[5], ax=axes())


# -- the sensor ----------------------------------------------------------------------------------------------------


def test_pictures_of_events_put_each_at_its_pixel():
    """The root of the number, in the colour of the share of ON; bins and events alike."""
    on, off = (np.array(to_rgb(plots.COLOURS[name])) for name in ("blue", "vermillion"))
    counts = np.zeros((3, 4, 2))
    np.add.at(counts, (EVENTS["y"], EVENTS["x"], EVENTS["on"].astype(int)), 1)
    total = counts.sum(2)
    for shown in (EVENTS, Recording(EVENTS, 4, 3, "made", {})):
        picture = np.asarray(plots.events(shown, ax=axes()).images[0].get_array())
        np.testing.assert_allclose(picture[..., 3], np.sqrt(total / total.max()))
        share = (counts[..., 1] / total)[..., None]
        np.testing.assert_allclose(picture[..., :3], share * on + (1 - share) * off)
    one = np.zeros((5, LAYOUT.inputs))
    one[2, 1 + 2 * (3 * 3 + 1)] = 1  # ON at x = 3, y = 1
    picture = np.asarray(plots.events(one, LAYOUT, ax=axes()).images[0].get_array())
    assert np.argwhere(picture[..., 3]).tolist() == [[1, 3]]
    assert picture[1, 3].tolist() == pytest.approx([*on, 1])


@pytest.mark.parametrize(("shown", "layout"), [(EVENTS, None), (BINS, LAYOUT)])
def test_frames_hold_every_event_on_one_scale(shown, layout):
    drawn = plots.frames(shown, layout, count=5, bin_us=1000, axes=Figure().subplots(1, 5))
    strength = np.stack([np.asarray(ax.images[0].get_array())[..., 3] ** 2 for ax in drawn])
    total = len(EVENTS) if layout is None else BINS.sum()
    most = total / strength.sum()  # the busiest pixel of all pictures has the full colour
    assert strength.max() == pytest.approx(1)
    np.testing.assert_allclose(strength * most, (strength * most).round(), atol=1e-9)
    assert drawn[0].get_title("center") == ("0 to 2 ms" if layout is None else "0 to 4 ms")


def test_what_does_not_fit_the_sensor():
    for call, said in (
        (lambda: plots.events(BINS, LAYOUT._replace(width=5), ax=axes()), "has 30 inputs, not 24"),
        (lambda: plots.events(BINS, ax=axes()), "bins need a layout"),
        (lambda: plots.events(EVENTS, sensor=(2, 2), ax=axes()), "outside the 2 x 2 sensor"),
        (lambda: plots.frames(EVENTS, count=3, axes=[axes()]), "axes must be 3 or more"),
        (lambda: plots.frames(EVENTS, count=0), "count must be at least 1"),
        (lambda: plots.raster(BINS[0], ax=axes()), r"spikes must be numbers \[T, N\], not \[24\]"),
    ):
        with pytest.raises(InputError, match=said):
            call()


@pytest.mark.parametrize(("shown", "layout"), [(EVENTS, None), (BINS, LAYOUT)])
def test_an_animation_holds_every_event_in_its_bin(shown, layout, tmp_path):
    ax = axes()
    made = plots.animate(shown, 1000, layout=layout, ax=ax)
    assert not isinstance(made, type(tmp_path))
    bins = BINS.reshape(20, 4, 3, 2).transpose(0, 2, 1, 3).astype(int)
    if layout is None:
        bins = np.zeros((10, 3, 4, 2), int)
        np.add.at(bins, (EVENTS["t"] // 1000, EVENTS["y"], EVENTS["x"], EVENTS["on"].astype(int)), 1)
    total = bins.sum(3)
    assert total.sum() == (len(EVENTS) if layout is None else BINS.sum())
    seen = []
    for number in made.new_frame_seq():
        made._draw_frame(number)
        seen.append(np.asarray(ax.images[0].get_array())[..., 3] ** 2 * total.max())
        assert ax.get_title("center") == f"{number} ms"
    np.testing.assert_allclose(np.stack(seen), total, atol=1e-9)
    made._draw_was_started = True  # or it warns that nobody has looked at it


def test_a_gif_shows_every_bin(tmp_path):
    path = tmp_path / "events.gif"
    assert plots.animate(EVENTS, 2500, path, sensor=(4, 3)) == path
    total = np.zeros((4, 3, 4), int)
    np.add.at(total, (EVENTS["t"] // 2500, EVENTS["y"], EVENTS["x"]), 1)
    with Image.open(path) as film:
        assert getattr(film, "n_frames", 0) == 4
        for number in range(4):
            film.seek(number)
            picture = np.asarray(film.convert("RGB")).astype(int)
            dark = (
                picture.sum(2) < 3 * 252
            ).mean()  # pixels with events in them, and a frame and letters around them
            assert 0.3 < dark < 0.9
    assert (total > 0).all()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the program ffmpeg")
def test_an_mp4_is_written(tmp_path):
    path = plots.animate(EVENTS, 2500, str(tmp_path / "events.mp4"), sensor=(4, 3), ax=axes())
    assert path.read_bytes()[4:8] == b"ftyp"


def test_an_animation_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setitem(mpl.rcParams, "animation.ffmpeg_path", str(tmp_path / "absent"))
    with pytest.raises(
        InputError, match=r"needs the program ffmpeg, which is not there; install it, or write a \.gif"
    ):
        plots.animate(EVENTS, 1000, tmp_path / "events.mp4", ax=axes())
    with pytest.raises(InputError, match=r"must end in \.gif or \.mp4"):
        plots.animate(EVENTS, 1000, "events.avi", ax=axes())
    with pytest.raises(InputError, match="cannot be written"):
        plots.animate(EVENTS, 5000, tmp_path / "no" / "events.gif", ax=axes())
    with pytest.raises(InputError, match="bin_us must be at least 1"):
        plots.animate(EVENTS, 0, ax=axes())


# -- weights -------------------------------------------------------------------------------------------------------


def shown(ax: Axes) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def test_a_receptive_field_is_the_weights():
    weights = rng.normal(size=LAYOUT.inputs)
    maps = weights.reshape(4, 3, 2).transpose(2, 1, 0)
    wanted = {"difference": maps[1] - maps[0], "on": maps[1], "off": maps[0], "sum": maps[0] + maps[1]}
    for polarity, expected in wanted.items():
        ax = plots.receptive_field(weights, LAYOUT, polarity=polarity, ax=axes())
        np.testing.assert_array_equal(shown(ax), expected)
        image = ax.images[0]
        assert image.get_clim() == pytest.approx((-abs(expected).max(), abs(expected).max()))
    colours = image.cmap(image.norm(np.array([-image.get_clim()[1], 0, image.get_clim()[1]])))
    assert colours[0].tolist() == pytest.approx([*to_rgb(plots.COLOURS["vermillion"]), 1])
    assert colours[1][3] == pytest.approx(0, abs=0.01)
    assert colours[2].tolist() == pytest.approx([*to_rgb(plots.COLOURS["blue"]), 1])


@pytest.fixture(scope="module")
def models() -> dict[str, gemsnn.Model]:
    spikes = rng.random((8, 10, 2, 8, 8)) < 0.2
    recordings = gemsnn.Recordings.from_arrays(spikes, ["a", "b"] * 4, bin_us=1000)
    conv = {"topology": "conv", "hidden": ["3x4s2"]}
    return {
        name: gemsnn.fit(recordings, epochs=1, kernel="reference", **how)
        for name, how in {"dense": {"hidden": [5]}, "conv": conv}.items()
    }


@pytest.mark.parametrize("over", ["peak", "sum"])
def test_fields_of_a_model_are_what_a_spike_does(models, over):
    """Against the filters and the weights themselves."""
    model = models["dense"]
    drawn = plots.receptive_fields(model, most=4, over=over, axes=Figure().subplots(2, 2))
    fields = receptive.receptive_fields(model.network, model.params, 4, over=over)
    weights, taps = model.params.weights, model.network.taps
    (name,) = [each for each in weights if each.startswith("inputs->") or each == "joint"]
    for ax, neuron, lag in zip(drawn, fields.neuron.tolist(), fields.lag.tolist(), strict=True):
        effect = (weights[name][neuron, :128] @ taps).numpy()
        expected = effect.sum(1) if over == "sum" else effect[:, abs(effect).sum(0).argmax()]
        pixels = expected.reshape(8, 8, 2)
        np.testing.assert_allclose(shown(ax), (pixels[..., 1] - pixels[..., 0]).T, atol=1e-6)
        told = "" if over == "sum" else f", {lag} ms"
        assert ax.get_title("center") == f"{neuron}{told}"


@pytest.mark.parametrize("over", ["peak", "sum"])
def test_kernels_of_a_convolution_are_its_weights(models, over):
    model = models["conv"]
    drawn = plots.convolution_kernels(model, over=over, axes=Figure().subplots(2, 3))
    leaves = gemsnn.model.network.named(model.network, model.params)
    (weight,) = [leaf for name, leaf in leaves.items() if name.startswith("weights.inputs->")]
    effect = (weight @ model.network.banks[0]).numpy()
    for place, ax in enumerate(drawn):
        row, channel = divmod(place, 3)
        lag = abs(effect[channel]).sum((0, 1, 2)).argmax()
        kernel = effect[channel].sum(-1) if over == "sum" else effect[channel][..., lag]
        np.testing.assert_allclose(shown(ax), kernel[1 - row], atol=1e-6)  # ON above OFF
    assert [drawn[0].get_ylabel(), drawn[3].get_ylabel()] == ["ON", "OFF"]
    with pytest.raises(InputError, match="must be the name of a convolution of this network: none"):
        plots.convolution_kernels(models["dense"])


def test_spikes_of_a_model_are_those_it_answers_by(models):
    model = models["dense"]
    spikes = rng.random((2, 10, 2, 8, 8)) < 0.2
    seen = model.spikes(spikes, 1, 6)
    assert seen.votes.tolist() == model.poll(spikes, 6).votes[1, :, -1].tolist()
    ax = plots.compartment_raster(seen.hidden, ax=axes())
    assert len(marks(ax)) == int(seen.hidden.sum())
    with pytest.raises(InputError, match="position"):
        model.spikes(spikes, 2)


# -- the look ------------------------------------------------------------------------------------------------------

ALL = [
    ("raster", lambda ax: plots.raster(BINS, ax=ax)),
    (
        "compartment_raster",
        lambda ax: plots.compartment_raster(BINS[None], label=0, answer=1, begin=3, ax=ax),
    ),
    ("votes", lambda ax: plots.votes([1, 0, 1], 2, ax=ax)),
    ("votes_over_time", lambda ax: plots.votes_over_time(np.array([[0, 1], [1, 1]]), 2, ax=ax)),
    ("reliability", lambda ax: plots.reliability(scores(), label="x", ax=ax)),
    ("consistent", lambda ax: plots.reliability(scores(), bands="consistent", ax=ax)),
    ("confidences", lambda ax: plots.confidences(scores(), ax=ax)),
    ("selective", lambda ax: plots.selective(scores(), ax=ax)),
    ("against_compartments", lambda ax: plots.against_compartments(scores(), "ece", ax=ax)),
    ("over_time", lambda ax: plots.over_time(scores(), "nll", warm_up_ms=20, ax=ax)),
    ("set_size", lambda ax: plots.set_size([(1, 2), (1,)], ax=ax)),
    ("set_sizes", lambda ax: plots.set_sizes([(1, 2), (1,)], ax=ax)),
    ("events", lambda ax: plots.events(EVENTS, ax=ax)),
    ("receptive_field", lambda ax: plots.receptive_field(np.ones(24), LAYOUT, ax=ax)),
    ("confusion", lambda ax: plots.confusion(scores(), ax=ax)),
]
PIXELS = {"events", "receptive_field", "confusion"}


@pytest.mark.parametrize(("name", "draw"), ALL, ids=[name for name, _ in ALL])
def test_the_axes_that_are_given_come_back_and_nothing_else_changes(name, draw, tmp_path):
    from matplotlib import pyplot

    with mpl.rc_context({"font.size": 13, "axes.linewidth": 2.5}):
        before = dict(mpl.rcParams)
        mine = axes()
        assert draw(mine) is mine
        assert mine.spines["left"].get_linewidth() == 2.5 or name in PIXELS  # which have a frame of their own
        new = draw(None)
        assert new.spines["left"].get_linewidth() < 1
        assert not new.spines["top"].get_visible() or name in PIXELS
        text = plots.save(new, tmp_path / "a.svg").read_text()
        assert plots.save(draw(None), tmp_path / "b.svg").read_text() == text
        pyplot.close("all")
        assert dict(mpl.rcParams) == before
    assert ("<image" in text) == (name in PIXELS)  # pixels of a sensor are pixels, all else are lines
    assert "<text" in text or name in PIXELS


def test_a_pdf_holds_its_letters(tmp_path):
    ax = plots.reliability(scores(), ax=axes())
    content = plots.save(ax, tmp_path / "x.pdf").read_bytes()
    assert b"/FontFile2" in content  # TrueType, not outlines of type 3
    assert b"/Type3" not in content
    assert b"/Image" not in re.sub(rb"/ProcSet \[[^]]*\]", b"", content)
    with pytest.raises(InputError, match="must end in what says its format"):
        plots.save(ax, tmp_path / "x.doc")
    with pytest.raises(InputError, match="cannot be written"):
        plots.save(ax, tmp_path / "no" / "x.pdf")


def test_a_style_ends_with_its_block():
    before = dict(mpl.rcParams)
    with plots.style(font_size=17):
        ax = axes()
        assert plots.raster(BINS, ax=ax).xaxis.label.get_fontsize() == 17
        with (
            pytest.raises(InputError, match=r"matplotlib has no setting 'font\.sice'"),
            plots.style(font_sice=3),
        ):
            pass
        assert mpl.rcParams["font.size"] == 17
    assert dict(mpl.rcParams) == before


DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
"""G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, IEEE TVCG 15, 2009, severity 1; of linear RGB."""


def lab(colour: str, seen_through: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of a colour as somebody sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(
        seen_through @ linear, 0, 1
    )
    x, y, z = (v ** (1 / 3) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29
               for v in xyz / (0.95047, 1, 1.08883))  # fmt: skip
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_colours_are_told_apart_without_green_cones():
    """By more than 10 units of Lab, several times what is just seen; matplotlib's own colours are not."""

    def nearest(colours, seen_through):
        seen = [lab(colour, seen_through) for colour in colours]
        return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))

    assert nearest(SERIES, np.eye(3)) > 10
    assert nearest(SERIES, DEUTERANOPIA) > 10
    usual = [f"C{n}" for n in range(6)]
    assert nearest(usual, np.eye(3)) > 10 > nearest(usual, DEUTERANOPIA)


def test_pictures_load_when_they_are_asked_for():
    import subprocess
    import sys

    code = "import sys, gemsnn; gemsnn.Scores; assert 'matplotlib' not in sys.modules; gemsnn.plots.raster; "
    code += "assert 'matplotlib' in sys.modules and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
