"""A model scored on parts of a data set, beside a baseline; what a run keeps of it, and what a person sees."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from gemsnn import kernels
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.model.receptive import receptive_fields
from gemsnn.runs import console
from gemsnn.runs.models import Model, Scored
from gemsnn.scoring import baseline, evaluate, measure, metrics, readouts
from gemsnn.scoring.answers import Decoder, choice
from gemsnn.scoring.evaluate import Poll
from gemsnn.scoring.scores import Baseline, Scores, Tempered
from gemsnn.store.records import RunFolder
from gemsnn.types import Progress, first_observed


def prepare(model: Model) -> None:
    """Compile what a model needs, or load it."""
    with console.compiling(
        f"compiling the {model.kernel_name} kernel, which takes a minute or two at its first use"
    ):
        kernels.warm_up(model.kernel, model.network.taps)


def part_of(splits: Splits, name: str) -> SpikeSet:
    """A part of the data, which must not be empty."""
    presentations: SpikeSet = getattr(splits, name)
    if not len(presentations):
        raise InputError(f"the {name} part of the data is empty; give more recordings or a larger --limit")
    return presentations


def asked(model: Model, splits: Splits, part: str, compartments: int, decoder: Decoder, seed: int) -> Scored:
    """All scores of a model on a part of its own data, at temperatures of the validation part, and what they are of.

    The temperatures of the training are fitted there already, where it had the same noise and as many compartments.
    """
    fitted = seed == model.facts.seed and model.temperature(compartments, decoder) is not None
    found = model.scored(
        part_of(splits, part),
        compartments,
        decoder=decoder,
        seed=seed,
        held=None if fitted else part_of(splits, "validation"),
        progress=console.bar,
    )
    return found._replace(scores=dataclasses.replace(found.scores, split=part))


def answering(model: Model, held: SpikeSet, progress: Progress | None = None) -> Model:
    """The trained model as it is to answer: with a decoder, weights of its readouts, and temperatures.

    Of several decoders it takes the one whose answers of all compartments have the lowest NLL on the held-out
    recordings, as they are and at their temperature there, the two added: what an answer can come to by a temperature
    counts, and so does what it is worth before one, for none is right at every moment of a recording. See
    :mod:`gemsnn.scoring.readouts` for the weights.
    """
    spec, wanted = model.settings.evaluate, choice(model.settings.evaluate.decoder, model.network)
    asked: Any = (model.network, model.params, model.read(held), spec.votes)
    how: Any = {"kernel": model.kernel, "seed": model.facts.seed}
    weights = dict.fromkeys(wanted, model.facts.readouts)
    if spec.answer == "all":
        weights = {decoder: readouts.fitted(*asked, **how, decoder=decoder) for decoder in wanted}
    how |= {"least_spikes": model.facts.least_spikes, "progress": progress}
    polls = [
        poll
        for one in dict.fromkeys(weights.values())
        for poll in evaluate.polls(
            *asked, **how, readouts=one, decoders=tuple(each for each in wanted if weights[each] == one)
        )
    ]

    def loss(found: tuple[Poll, tuple[float, ...]]) -> float:
        logs, labels = found[0].answers.logs, found[0].labels
        return metrics.log_loss(logs, labels) + metrics.log_loss(metrics.tempered(logs, found[1][-1]), labels)

    best, temperatures = min(((poll, tuple(measure.fitted_temperatures(poll))) for poll in polls), key=loss)
    facts = dataclasses.replace(
        model.facts, decoder=best.decoder, readouts=weights[best.decoder],
        temperatures={best.decoder: temperatures},
    )  # fmt: skip
    return dataclasses.replace(model, facts=facts)


def final(model: Model, splits: Splits) -> Scored:
    """The scores on the test part that end a training, with the costs of learning and a baseline."""
    settings = model.settings
    spec = settings.evaluate
    found = asked(model, splits, "test", spec.votes, model.facts.decoder, settings.train.seed)
    messages = measure.messages(model.network, settings.train.compartments)
    costs = dataclasses.replace(found.scores.costs, scalars_per_step=messages)
    scores = dataclasses.replace(found.scores, costs=costs, baseline=baseline_of(splits))
    return found._replace(scores=scores)


def baseline_of(splits: Splits) -> Baseline:
    """The scores of logistic regression on the test part, at a temperature of the validation part."""
    train_part, validation, test = (
        baseline.Counts(part.counts_per_input(), part.labels)
        for part in (splits.train, splits.validation, splits.test)
    )
    model = baseline.fit(train_part, validation, splits.train.layout.classes)
    return measure.baseline_scores(baseline.NAME, *measure.baseline_answers(model, validation, test))


def save_pictures(run: RunFolder, model: Model, presentations: SpikeSet, scores: Scores) -> None:
    """Keep what the report draws: the spikes of two presentations, and receptive fields."""
    _save_examples(run, model, presentations, scores)
    _save_fields(run, model)


LARGEST_EXAMPLE = 10
"""Compartments whose spikes are kept of an example; all votes are."""


def _save_examples(run: RunFolder, model: Model, presentations: SpikeSet, scores: Scores) -> None:
    """Keep the spikes of the presentations that the votes were most and least divided on; of one, if they are one."""
    assert scores.extremes is not None
    for kind in ("unsure", "sure"):
        found, name = getattr(scores.extremes, kind), f"example-{kind}.safetensors"
        (run.path / name).unlink(missing_ok=True)
        if kind == "unsure" and found.position == scores.extremes.sure.position:
            continue
        shown = evaluate.example(
            model.network, model.params, presentations, found.position, scores.compartments,
            kernel=model.kernel, seed=model.settings.train.seed, readouts=model.facts.readouts,
        )  # fmt: skip
        tensors = {
            "inputs": shown.inputs,
            "hidden": shown.hidden[:LARGEST_EXAMPLE],
            "visible": shown.visible[:LARGEST_EXAMPLE],
            "votes": shown.votes,
            "course": shown.course.to(torch.int32),
            "label": torch.tensor([shown.label]),
        }
        facts = {
            "bin_us": presentations.layout.bin_us,
            "index": shown.address,
            "answer": found.answer,
            "entropy": found.entropy,
            "begin": first_observed(model.network.spec.warm_up, len(shown.inputs)),
        }
        run.save_tensors(name, tensors, {key: str(value) for key, value in facts.items()})


MOST_FIELDS = 12


def _save_fields(run: RunFolder, model: Model) -> None:
    """Keep some receptive fields, for the report to draw without the network's code."""
    kind, *found = receptive_fields(model.network, model.params, MOST_FIELDS)
    run.save_tensors(
        "fields.safetensors", dict(zip(("field", "neuron", "lag"), found, strict=True)), {"kind": kind}
    )


def print_scores(scores: Scores) -> None:
    """Scores as a small table on standard output."""
    print(
        f"{scores.split}: {scores.presentations} presentations, {scores.compartments} compartments, "
        f"decoder {scores.decoder}"
    )
    print(f"log-likelihood {scores.log_likelihood:.2f} nats a presentation")
    if scores.neurobench is not None:
        print(scores.neurobench.told())
    named: list[tuple[str, Scores | Baseline]] = [("network", scores)]
    if scores.baseline is not None:
        named.append((scores.baseline.name, scores.baseline))
    rows: list[tuple[str, float, Scores | Baseline | Tempered]] = []
    for name, found in named:
        rows.append((name, found.accuracy, found))
        if found.tempered is not None:
            rows.append(
                (f"  at temperature {found.tempered.temperature:.2f}", found.accuracy, found.tempered)
            )
    width = max(len(name) for name, _, _ in rows)
    print(f"{'':{width}}  accuracy    ECE    NLL  Brier")
    for name, accuracy, row in rows:
        print(f"{name:{width}}  {accuracy:8.3f}  {row.ece:5.3f}  {row.nll:5.3f}  {row.brier:5.3f}")
