"""A run's certificate: what it holds, that it is kept, and of what it promises nothing."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest
import torch
from scipy import stats

import gemsnn
from gemsnn import rng
from gemsnn.commands.cli import main
from gemsnn.errors import InputError
from gemsnn.report.page import render
from gemsnn.report.reading import read_run
from gemsnn.runs import certificate
from gemsnn.scoring import certify, conformal, early, metrics
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.evaluate import Poll
from gemsnn.scoring.promise import FORMAT, Asked

pytestmark = pytest.mark.usefixtures("undrawn")

STEPS, CLASSES = 24, 4


def poll(count, seed=0, compartments=7):
    """Answers that grow clearer with time, some towards the wrong class."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=draw)
    skill = 0.3 * torch.randn(count, generator=draw, dtype=torch.float64) + 0.25
    noise = 0.5 * torch.randn(count, STEPS, CLASSES, generator=draw, dtype=torch.float64).cumsum(1)
    drift = torch.nn.functional.one_hot(labels, CLASSES).double()[:, None] * skill[:, None, None]
    steps = torch.arange(1, STEPS + 1, dtype=torch.float64)[None, :, None]
    logs = torch.log_softmax(drift * steps + noise, -1).transpose(0, 1)
    by_time = Answers(logs.exp(), logs)
    votes = torch.zeros(count, compartments, STEPS, dtype=torch.int64)
    ends = Answers(*(each[-1:].expand(compartments, -1, -1) for each in by_time))
    silent = torch.zeros(count, dtype=torch.bool)
    return Poll("rates", ends, by_time, votes, labels, silent, None, None, None, torch.arange(count))


TENTH = Asked(0.1)


def fitted(found, asked=TENTH, seed=3, **more):
    return certify.fit(
        asked, found, np.arange(len(found.labels)), begin=4, temperature=1.3, seed=seed, **more
    )


# -- what it holds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["lac", "aps"])
@pytest.mark.parametrize("rule", ["single", "any", "spikecp"])
def test_limits_are_those_of_the_rule_on_the_halves_that_the_seed_draws(score, rule):
    found = poll(400)
    made = fitted(found, Asked(0.1, score, rule, 5))
    assert made.checkpoints == (8, 12, 16, 20, 24)
    shares = torch.softmax(found.by_time.logs[[7, 11, 15, 19, 23]].transpose(0, 1) / 1.3, -1)
    drawn = [rng.generator(3, "conformal", at).random() for at in range(400)]
    uniform = torch.tensor(drawn, dtype=torch.float64)[:, None].expand(-1, 5)
    scores = conformal.scores(score, shares, uniform)
    right = scores[torch.arange(400), :, found.labels]
    assert made.set_limits == pytest.approx([conformal.limit(right[:, -1], 0.1)], abs=1e-12)
    if rule == "spikecp":
        assert made.reference == ()
        assert made.limits == pytest.approx(early.spikecp_limits(right, 0.1).tolist(), abs=1e-12)
        return
    order = rng.generator(3, "certificate").permutation(400)
    a, b = order[:200], order[200:]
    levels = early.levels(right[a], scores[b])
    names = found.labels[b]
    wanted = (
        early.single_limit(levels, names, 0.1)
        if rule == "single"
        else early.any_limit(levels[torch.arange(200), :, names], 0.1)
    )
    assert made.limits == pytest.approx([wanted], abs=1e-9)


def test_answers_are_certified_with_a_confidence():
    """Of 150 certificates of a confidence of 0.8, fewer than all but a fifth break their promise, on a whole world."""
    world = poll(4000, seed=77)
    broken = 0
    for seed in range(150):
        made = fitted(poll(200, seed), Asked(0.1, "lac", "answers", 6, 0.8), seed=seed)
        assert made.confidence == 0.8
        found = certify.apply(made, world, np.arange(4000))
        wrong = (found.stops.answered & found.stops.misses).sum()
        broken += bool(wrong > 0.1 * found.stops.answered.sum())
    assert stats.binomtest(broken, 150, 0.2, alternative="greater").pvalue > 1e-6
    told = certify.score(made, found, world.labels, torch.full((4000,), STEPS), 1000)
    assert told.spread is None
    assert "You asked for at least 90.0%" in told.told()
    assert "With a confidence of 0.8" in made.promise
    assert told.answered > 0.2


@pytest.mark.parametrize("rule", ["single", "any", "spikecp"])
def test_what_was_promised_is_kept_over_draws_of_the_world(rule):
    """200 draws of 120 recordings to fit on and 120 to ask; mean misses and mean coverage at five errors."""
    missed, covered = [], []
    for seed in range(200):
        both = poll(240, seed)

        def part(rows, both=both):
            by_time = Answers(both.by_time.probabilities[:, rows], both.by_time.logs[:, rows])
            ends = Answers(both.by_compartments.probabilities[:, rows], both.by_compartments.logs[:, rows])
            return both._replace(
                by_time=by_time, by_compartments=ends, votes=both.votes[rows], labels=both.labels[rows],
                silent=both.silent[rows],
            )  # fmt: skip

        made = fitted(part(slice(0, 120)), Asked(0.2, "lac", rule, 6), seed=seed)
        new = part(slice(120, None))
        found = certify.apply(made, new, np.arange(120, 240))
        told = certify.score(made, found, new.labels, torch.full((120,), STEPS), 1000)
        missed.append(told.missed)
        covered.append(told.covered)
    assert np.mean(missed) < 0.2 + 5 * np.std(missed) / math.sqrt(200)
    law = conformal.coverage_law(120, 0.2, 120)
    assert abs(np.mean(covered) - law.mean) < 5 * law.deviation_of_tested / math.sqrt(200)


def test_by_class_each_class_is_promised_by_itself():
    """Of 100 certificates the mean coverage of each class's recordings is at least the promise, at five errors."""
    world, covered = poll(4000, seed=77), []
    for seed in range(100):
        made = fitted(poll(200, seed), Asked(0.2, "aps", "any", 6, by_class=True), seed=seed)
        assert len(made.set_limits) == CLASSES
        sets = certify.apply(made, world, np.arange(4000)).sets[torch.arange(4000), world.labels]
        covered.append([float(sets[world.labels == c].double().mean()) for c in range(CLASSES)])
    mean, spread = np.mean(covered, 0), np.std(covered, 0)
    assert (mean > 0.8 - 5 * spread / 10).all()
    assert "of the recordings of each class" in made.promise
    assert "of each class" not in fitted(poll(200)).promise


@pytest.mark.parametrize("rule", ["single", "any"])
def test_it_keeps_what_a_limit_for_another_risk_is_made_of(rule):
    found = poll(400)
    made = fitted(found, Asked(0.1, "lac", rule, 5))
    other = fitted(found, Asked(0.25, "lac", rule, 5))
    assert len(made.own) == 200
    assert conformal.limit(torch.tensor(made.own, dtype=torch.float64), 0.25) == other.limits[0]
    assert conformal.limit(torch.tensor(made.scores, dtype=torch.float64), 0.25) == other.set_limits[0]
    assert made.came == tuple(range(400))
    shares = torch.softmax(found.by_time.logs[-1] / 1.3, -1)
    assert made.doubts == pytest.approx((1 - shares.amax(1)).tolist(), abs=1e-12)
    assert made.begin == 4
    wanted = [metrics.fitted_temperature(found.by_time.logs[at - 1], found.labels) for at in made.checkpoints]
    assert made.temperatures == pytest.approx(wanted)


def test_scores_are_those_of_the_recordings():
    found = poll(300)
    made = fitted(found, Asked(0.2, "lac", "single", 6))
    new = poll(50, seed=9)
    applied = certify.apply(made, new, np.arange(50))
    lengths = torch.full((50,), 20)
    told = certify.score(made, applied, new.labels, lengths, 2000)
    answered = [n for n in range(50) if bool(applied.stops.answered[n])]
    right = [n for n in answered if bool(applied.stops.sets[n, new.labels[n]])]
    assert told.answered == len(answered) / 50
    assert told.right == pytest.approx(len(right) / len(answered))
    waited = [min(int(applied.bins[n]), 20) for n in range(50)]
    assert told.seconds == pytest.approx(np.mean(waited) * 2e-3)
    assert told.whole_seconds == pytest.approx(0.04)
    assert told.spread == pytest.approx(stats.betabinom(50, 121, 30).std() / 50)  # 150 gave the limit
    assert "you asked for at most 20.0%" in told.told()
    nothing = told.__class__(0.1, 3, 1.0, 4.0, 0.0, 0.0, 0.0, None, 1.0, 1.0, 0.1)
    assert "It answers none of them" in nothing.told()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(0.0), "risk must be above 0"),
        (Asked(0.02), "30 recordings are too few .* give at least 98"),
        (Asked(0.1, rule="spikecp", checkpoints=10), "give at least 99"),
        (Asked(0.2, score="raps"), "lac"),
        (Asked(0.2, rule="never"), "single"),
        (Asked(0.2, rule="answers", confidence=1.0), "confidence must be above 0 and below 1"),
        (Asked(0.2, checkpoints=0), "at least 1"),
    ],
)
def test_what_cannot_be_promised_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        fitted(poll(30), asked)


def test_of_other_answers_it_promises_nothing():
    found = poll(100)
    made = fitted(found)
    certify.check_poll(made, found, 1.3, 3)
    for other, temperature, seed in (
        (poll(100, compartments=6), 1.3, 3),
        (found._replace(decoder="votes"), 1.3, 3),
        (found, 1.2, 3),
        (found, 1.3, 4),
    ):
        with pytest.raises(InputError, match="certify these"):
            certify.check_poll(made, other, temperature, seed)


# -- the file and the commands -----------------------------------------------------------------------------


def test_it_is_read_as_it_was_written(tmp_path):
    made = fitted(poll(100), assumes=("x",), weights="ab", fitted_on="100 of them")
    assert certificate.load(tmp_path) is None
    certificate.save(tmp_path, made)
    assert certificate.load(tmp_path) == made
    path = tmp_path / certificate.FILE
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "risk": 0.2}))
    with pytest.raises(InputError, match="is damaged"):
        certificate.load(tmp_path)
    path.write_text(json.dumps({**told, "format": FORMAT + 1}))
    with pytest.raises(InputError, match="update gemsnn"):
        certificate.load(tmp_path)
    path.write_text(json.dumps({**told, "format": FORMAT - 1}))
    with pytest.raises(InputError, match="certify the run anew"):
        certificate.load(tmp_path)
    path.write_text("[]")
    with pytest.raises(InputError, match="is damaged"):
        certificate.load(tmp_path)
    odd = {key: value for key, value in told.items() if key not in ("sha256", "rule")}
    path.write_text(json.dumps({**odd, "sha256": certificate.digest_of(odd)}))
    with pytest.raises(InputError, match="holds what it should not"):
        certificate.load(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "digits"
    asked = [
        "train",
        "--data",
        "digits",
        "--hidden",
        "12",
        "--epochs",
        "1",
        "--votes",
        "5",
        "--out",
        str(out),
    ]
    assert main(asked) == 0
    return out


def test_a_run_is_certified_and_says_how_that_is_kept(run, capsys):
    assert main(["evaluate", str(run), "--votes", "5", "--certified"]) == 2
    assert "has no certificate" in capsys.readouterr().err
    assert main(["certify", str(run), "--risk", "0.2", "--votes", "5", "--checkpoints", "10"]) == 0
    said = capsys.readouterr().out
    made = certificate.of_run(run)
    assert made.promise in said
    assert "240 recordings of the validation part of digits" in said
    assert "chose the epoch" in said
    assert made.weights is not None
    kept = json.loads((run / "certified.json").read_text())
    assert f"on the test part: {kept['told']}" in said
    assert kept["recordings"] == 357
    assert main(["evaluate", str(run), "--votes", "5", "--certified", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["certified"]
    text = told.pop("told")
    scores = msgspec.convert(told, certify.CertifiedScores)
    assert scores.told() == text == kept["told"]
    assert scores.recordings == 357
    law = conformal.coverage_law(240, 0.2, 357)
    assert abs(scores.covered - law.mean) < 6 * law.deviation_of_tested
    assert main(["evaluate", str(run), "--votes", "4", "--certified"]) == 2
    assert "the certificate is about 5 compartments" in capsys.readouterr().err
    assert main(["train", "--resume", str(run), "--epochs", "2"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--votes", "5", "--certified"]) == 2
    assert "other weights" in capsys.readouterr().err


def test_from_python_it_names_sets_and_answers(run):
    assert main(["certify", str(run), "--risk", "0.3", "--votes", "5", "--checkpoints", "10"]) == 0
    looked, test = gemsnn.Run(run), gemsnn.dataset("digits").test.first(60)
    found = looked.promised(test)
    made, model = looked.certificate, looked.model()
    poll = model.poll(test, 5)
    wanted = certify.apply(made, poll, test.address)
    likely = found.probabilities.argmax(1).tolist()
    for n in range(60):
        assert {int(name) for name in found.sets[n]} == set(wanted.sets[n].nonzero()[:, 0].tolist())
        if found.sets[n]:
            assert int(found.sets[n][0]) == likely[n]
        if found.answers[n] is not None:
            assert bool(wanted.stops.sets[n, int(found.answers[n])])
        assert (found.answers[n] is not None) == bool(wanted.stops.answered[n])
    assert torch.equal(found.seconds, wanted.bins.double() * test.layout.bin_us * 1e-6)
    for strange in (found.strange, found.strange_inputs):
        assert strange is not None
        assert ((strange > 0) & (strange <= 1)).all()
        assert strange.mean() > 0.2  # on average half, where they come as those did
    bare = looked.promised([test.bins(0)])  # of its own number, and so of other noise
    assert bare.probabilities.shape == (1, 10)
    assert set(bare.sets[0]) <= set(model.names)


def test_what_is_familiar_belongs_to_its_certificate(run, tmp_path):
    assert main(["certify", str(run), "--risk", "0.3", "--votes", "5"]) == 0
    made = certificate.of_run(run)
    assert certificate.familiar_of(run, made) is not None
    other = msgspec.structs.replace(made, risk=0.2)
    with pytest.raises(InputError, match="belongs to another certificate"):
        certificate.familiar_of(run, other)
    with pytest.raises(InputError, match="cannot be read"):
        certificate.familiar_of(tmp_path, made)
    none = msgspec.structs.replace(made, surprises=(), input_surprises=())
    assert certificate.familiar_of(tmp_path, none) is None


def test_the_report_tells_the_promise(run):
    """Drawn anew, for the trainings of these tests leave it unwritten."""
    assert main(["certify", str(run), "--risk", "0.2", "--votes", "5", "--rule", "any"]) == 0
    page = render(read_run(run))
    assert "What it promises" in page
    assert "at whatever moment anybody stops looking" in page
    assert main(["certify", str(run), "--risk", "0.2", "--votes", "5", "--split", "test"]) == 0
    assert "What it promises" not in render(read_run(run))  # the test part is what it was fitted on


def test_what_cannot_be_certified_is_one_sentence(run, trained_run, tmp_path, capsys):
    assert main(["certify", str(run), "--risk", "0.001", "--votes", "5"]) == 2
    assert "too few to promise" in capsys.readouterr().err
    assert main(["certify", str(run), "--votes", "9"]) == 2
    assert "not for 9" in capsys.readouterr().err
    assert main(["certify", str(tmp_path / "none")]) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert main(["certify", str(run), "--confidence", "0.8"]) == 2
    assert "--rule answers" in capsys.readouterr().err
    assert main(["certify", str(run), "--limit", "0"]) == 2
    assert "at least 1 recording" in capsys.readouterr().err
