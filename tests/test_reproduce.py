"""The sweep over compartments: parts, resumption, summary, table and figures."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from gemsnn.commands import cli
from gemsnn.errors import InputError
from gemsnn.reproduce import claims, figures, k_sweep, part
from gemsnn.reproduce.k_sweep import SweepSpec
from gemsnn.runs import config, recipes
from gemsnn.runs.config import Settings
from gemsnn.store.files import atomic_write

TINY = SweepSpec(compartments=(1, 2), seeds=2, votes=3, jobs=1)


def tiny_settings() -> Settings:
    given = recipes.load("paper")
    return dataclasses.replace(
        given,
        data=dataclasses.replace(given.data, limit=12),
        network=dataclasses.replace(given.network, hidden=(3,)),
    )


@pytest.fixture
def here(monkeypatch):
    """Run parts in this process, and count them."""
    done = []

    def run_all(jobs, at_once, say):
        for job in jobs:
            done.append((job.compartments, job.seed))
            atomic_write(Path(job.path), json.dumps(part.work(job)))

    monkeypatch.setattr(k_sweep, "_run_all", run_all)
    return done


def fake_part(k, seed, gain=0.0):
    """A part whose scores are known: better by 0.1 (times K - 1) in all that is compared."""
    scores = [
        {
            "compartments": votes,
            "log_likelihood": -10.0 + k + gain,
            "accuracy": 0.5 + 0.1 * k + gain,
            "ece": 0.5 - 0.1 * k - gain,
            "nll": 1.0,
            "tempered": {"ece": 0.05},
            "reliability": [
                {"low": 0.0, "high": 0.5, "confidence": None, "accuracy": None, "count": 0},
                {"low": 0.5, "high": 1.0, "confidence": 0.8, "accuracy": 0.6 + 0.2 * seed, "count": 1 + seed},
            ],
        }
        for votes in (1, 2, 3)
    ]
    course = [{"presentations": n, "bound": -5.0 + seed, "hidden_rate": 0.1, "ess": 1.0} for n in (10, 20)]
    return {
        "compartments": k,
        "seed": seed,
        "presentations": {"train": 20},
        "by_compartments": scores,
        "course": course,
        "seconds": {"train": 1.0, "evaluate": 2.0},
    }


def test_a_summary_by_hand():
    found = k_sweep.summary([fake_part(k, seed, 0.01 * seed) for k in (1, 2) for seed in (0, 1)])
    assert found["seeds"] == [0, 1]
    assert found["seconds"] == pytest.approx(12.0)
    row = next(row for row in found["rows"] if (row["compartments"], row["votes"]) == (2, 1))
    assert row["accuracy"]["mean"] == pytest.approx(0.705)
    assert row["accuracy"]["error"] == pytest.approx(0.005)  # of 0.70 and 0.71: their difference, halved
    claim = found["claims"]["ece"]
    assert (claim["from"], claim["to"], claim["monotone"], claim["back"]) == (1, 2, True, [])
    assert claim["gain"] == pytest.approx(0.1)
    assert claim["errors"] == pytest.approx(0.1 / (2**0.5 * 0.005))
    full = found["reliability"][1][1]
    assert (full["count"], full["confidence"]) == (3, pytest.approx(0.8))
    assert full["accuracy"] == pytest.approx((0.6 + 2 * 0.8) / 3)
    assert found["reliability"][1][0]["accuracy"] is None
    assert found["course"][2][0]["bound"] == pytest.approx(-4.5)


def test_calibration_errors_of_two_definitions_are_not_compared():
    """Older parts have a cell for certainty alone."""
    parts = [fake_part(k, 0) for k in (1, 2)]
    cells = parts[0]["by_compartments"][0]["reliability"]
    cells.append({"low": 1.0, "high": 1.0, "confidence": 1.0, "accuracy": 0.5, "count": 2})
    with pytest.raises(InputError, match="have 2 and 3 cells"):
        k_sweep.summary(parts)
    assert k_sweep.summary(parts[:1])["reliability"][1][-1]["count"] == 2


def test_what_falls_with_compartments_is_not_monotone():
    parts = [fake_part(k, seed, 0.01 * seed) for k in (1, 2) for seed in (0, 1)]
    for each in parts[2:]:
        each["by_compartments"][1]["accuracy"] = 0.2
    claims = k_sweep.summary(parts)["claims"]
    assert not claims["accuracy"]["monotone"]
    assert claims["accuracy"]["gain"] < 0
    assert claims["log_likelihood"]["monotone"]


def test_a_sweep_from_start_to_figures(here, tmp_path):
    out = tmp_path / "sweep"
    results = k_sweep.run(tiny_settings(), TINY, out)
    assert here == [(2, 0), (1, 0), (2, 1), (1, 1)]
    assert json.loads((out / "results.json").read_text())["digest"] == results["digest"]
    assert {(row["compartments"], row["votes"]) for row in results["rows"]} == {
        (k, votes) for k in (1, 2) for votes in (1, 2, 3)
    }
    text = k_sweep.table(results)
    assert all(line in text for line in claims.sentences(results["claims"]))
    for loaded in (results, json.loads((out / "results.json").read_text())):
        assert [path.name for path in figures.draw(loaded, out)] == [
            "log-likelihood.png",
            "accuracy.png",
            "calibration.png",
        ]
    # what is there is not repeated, what was lost is, and comes out the same
    (out / "parts" / "K01-seed1.json").unlink()
    (out / "parts" / "K02-seed0.json").write_text("[" * 100_000)
    here.clear()
    again = k_sweep.run(tiny_settings(), TINY, out)
    assert here == [(2, 0), (1, 1)]
    assert again["rows"] == results["rows"]


def test_a_part_does_not_depend_on_the_others(here, tmp_path):
    """Compartments 1 and 2 of a network are the same whether 2 or 3 answer."""
    few = k_sweep.run(tiny_settings(), dataclasses.replace(TINY, votes=2), tmp_path / "few")
    many = k_sweep.run(tiny_settings(), TINY, tmp_path / "many")
    assert few["rows"] == [row for row in many["rows"] if row["votes"] <= 2]


def test_more_votes_are_counted_anew(here, tmp_path):
    k_sweep.run(tiny_settings(), dataclasses.replace(TINY, votes=2), tmp_path)
    here.clear()
    k_sweep.run(tiny_settings(), TINY, tmp_path)
    assert len(here) == 4


def test_a_folder_of_something_else_is_refused(here, tmp_path):
    k_sweep.run(tiny_settings(), TINY, tmp_path / "sweep")
    other = dataclasses.replace(tiny_settings(), evaluate=config.EvaluateSpec(decoder="likelihood"))
    with pytest.raises(InputError, match="other settings"):
        k_sweep.run(other, TINY, tmp_path / "sweep")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="is no sweep"):
        k_sweep.run(tiny_settings(), TINY, tmp_path / "full")


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"compartments": ()}, "compartments"),
        ({"compartments": (0, 1)}, "compartments"),
        ({"seeds": 0}, "seeds"),
        ({"jobs": 0}, "jobs"),
        ({"compartments": (5,), "votes": 4}, "at least the largest"),
    ],
)
def test_bad_sweeps_are_refused(numbers, words):
    with pytest.raises(InputError, match=words):
        SweepSpec(**numbers)


def test_a_failing_part_stops_the_sweep_and_says_which(tmp_path):
    broken = dataclasses.replace(
        tiny_settings(), data=dataclasses.replace(tiny_settings().data, data="images", root=tmp_path / "none")
    )
    with pytest.raises(InputError, match="K = 2, seed 0 failed"):
        k_sweep.run(broken, TINY, tmp_path / "sweep")


def scored(**metrics):
    """By K: scores of a metric, mean and error, the same for all metrics."""
    return {
        int(k.removeprefix("k")): {
            name: {"mean": sign * mean, "error": error} for name, sign in claims.METRICS.items()
        }
        for k, (mean, error) in metrics.items()
    }


@pytest.mark.parametrize("name", claims.METRICS)
@pytest.mark.parametrize(
    ("own", "says"),
    [
        (
            scored(k1=(0.1, 0.01), k3=(0.3, 0.01)),
            "K = K_I = 3 is better than 1 by 0.200, 14.1 standard errors",
        ),
        (scored(k1=(0.381, 0.01), k3=(0.239, 0.01)), "is worse than 1 by 0.142, 10.0 standard errors"),
        (scored(k1=(0.381, 0.081), k3=(0.239, 0.049)), "no difference beyond 2 standard errors between"),
        (scored(k1=(0.1, None), k3=(0.3, None)), "from one seed no error is known, so no K is called better"),
        (scored(k5=(0.1, 0.1)), "one K alone, so there is nothing to compare"),
        (
            scored(k1=(0.1, 0.01), k2=(0.5, 0.01), k5=(0.3, 0.01)),
            "K = K_I = 5 is better than 1 by 0.200, 14.1 standard errors; "
            "worse from K = 2 to 5 by 0.200, 14.1 standard errors",
        ),
        (
            scored(k1=(0.1, 0.01), k2=(0.31, 0.01), k5=(0.3, 0.01)),
            "14.1 standard errors; no step to the next K is a loss beyond 2 standard errors",
        ),
    ],
)
def test_a_sentence_follows_sign_and_error(name, own, says):
    assert says in claims.sentence(name, claims.claims(own, name))


def beyond(difference: float, *errors: float) -> bool:
    """Whether a difference is beyond two standard errors; where rounding would decide, nothing is tried."""
    margin = 2 * math.hypot(*errors)
    assume(difference == margin or abs(difference - margin) > 1e-9)
    return difference > margin


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.one_of(st.none(), st.floats(0, 20))), min_size=1, max_size=5),
    st.sampled_from(list(claims.METRICS)),
)
def test_no_sentence_claims_what_its_numbers_do_not_show(scores, name):
    own = scored(**{f"k{k}": score for k, score in zip((1, 2, 5, 10, 20), scores, strict=False)})
    found = claims.claims(own, name)
    text = claims.sentence(name, found)
    signed = [mean for mean, _ in scores]  # of every metric, more is better after its sign
    errors = [error for _, error in scores]
    last = 3 if len(scores) > 3 else len(scores) - 1
    if errors[0] is None or errors[last] is None:
        assert "is better" not in text
        assert "is worse" not in text
    else:
        assert ("is better" in text) == beyond(signed[last] - signed[0], errors[0], errors[last])
        assert ("is worse" in text) == beyond(signed[0] - signed[last], errors[0], errors[last])
    fell = [
        None not in (errors[i], errors[i + 1]) and beyond(signed[i] - signed[i + 1], *errors[i : i + 2])
        for i in range(len(scores) - 1)
    ]
    assert len(found["back"]) == sum(fell)
    assert ("no step to the next K is a loss" in text) <= (not any(fell))


@pytest.mark.parametrize("records", [1, 2, 3, 8, 30])
def test_the_course_is_drawn_whatever_its_length(records, tmp_path, monkeypatch):
    """A line through a single point would leave the panel empty."""
    parts = [fake_part(k, seed) for k in (1, 2) for seed in (0, 1)]
    for each in parts:
        each["course"] = [{**each["course"][0], "presentations": 10 * i} for i in range(1, records + 1)]
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: drawn.append(figure))
    figures.draw(k_sweep.summary(parts), tmp_path)
    lines = drawn[0].axes[0].lines
    assert len(lines) == 2
    assert all(len(line.get_xdata()) > 1 or line.get_marker() == "o" for line in lines)
    assert all(len(line.get_xdata()) >= records * 0.9 for line in lines)


def test_a_quick_sweep_says_that_it_shows_nothing(tmp_path, monkeypatch):
    results = k_sweep.summary([fake_part(k, seed) for k in (1, 2) for seed in (0, 1)])
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: drawn.append(figure))
    figures.draw(results, tmp_path)
    assert all(figure.get_suptitle() == "" for figure in drawn)
    assert claims.QUICK not in k_sweep.table(results)
    drawn.clear()
    quick = results | {"quick": True}
    figures.draw(quick, tmp_path)
    assert [figure.get_suptitle() for figure in drawn] == [claims.QUICK] * 3
    text = k_sweep.table(quick)
    assert text.startswith(claims.QUICK)
    assert text.endswith(claims.QUICK)
    assert "better" not in text


def test_the_command(tmp_path, capsys):
    """Two parts, each a process of its own."""
    words = [
        "reproduce",
        "k-sweep",
        "--quick",
        "--limit",
        "12",
        "--hidden",
        "3",
        "--out",
        str(tmp_path / "s"),
    ]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert claims.QUICK in printed
    assert "better" not in printed
    assert (tmp_path / "s" / "calibration.png").stat().st_size > 10_000


def test_recipes_can_be_named_and_overridden(tmp_path, capsys):
    assert cli.main(["train", "--recipe", "worst"]) == 2
    assert "choose from paper, best" in capsys.readouterr().err
    for name in recipes.RECIPES:
        given = recipes.load(name)
        assert config.parse(config.dump(given), "again") == given
    out = tmp_path / "run"
    words = [
        "train",
        "--recipe",
        "best",
        "--limit",
        "10",
        "--hidden",
        "3",
        "--epochs",
        "1",
        "--out",
        str(out),
    ]
    assert cli.main(words) == 0
    kept = config.load(out / "config.toml")
    assert kept.rule.rule == recipes.load("best").rule.rule
    assert kept.network.hidden == (3,)
