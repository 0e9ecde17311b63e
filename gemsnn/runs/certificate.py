"""The certificate of a run, ``certificate.json`` in its folder: fitted, kept, and applied to other recordings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from gemsnn.data.arrays import Arrays
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.report.reading import CERTIFIED
from gemsnn.runs import facts
from gemsnn.runs.models import Model
from gemsnn.scoring import certify
from gemsnn.scoring import familiar as familiarity
from gemsnn.scoring.certify import Certified, CertifiedScores
from gemsnn.scoring.evaluate import Poll
from gemsnn.scoring.familiar import NONE, Familiar, Mixture
from gemsnn.scoring.promise import FORMAT, Asked, Certificate
from gemsnn.store import parsing
from gemsnn.store.checkpoints import digest_of
from gemsnn.store.files import atomic_write
from gemsnn.store.records import RunFolder
from gemsnn.types import AnyPath, Progress, first_observed

FILE, FAMILIAR = "certificate.json", "familiar.safetensors"


@dataclass(frozen=True)
class Promised:
    """What a certified model says of n recordings.

    Attributes:
        sets: the names of the classes that are left at the end of each, the likeliest first.
        answers: the name of the class that was left first, when one was; ``None`` where the recording was not answered.
        seconds: until then, or to the recording's end, float64 ``[n]``.
        probabilities: at the end, float64 ``[n, C]``.
        strange: p-values of each recording's hidden activity, float64 ``[n]``: of one that comes as those did on which
            the certificate was fitted, at most ``a`` with probability at most ``a``; ``None`` where what is familiar
            is not known.
        strange_inputs: the same of what came in, whatever the network makes of it.
    """

    sets: tuple[tuple[str, ...], ...]
    answers: tuple[str | None, ...]
    seconds: Tensor
    probabilities: Tensor
    strange: Tensor | None
    strange_inputs: Tensor | None


def promised(
    model: Model,
    certificate: Certificate,
    recordings: SpikeSet | Arrays,
    *,
    familiar: Familiar | None = None,
    progress: Progress | None = None,
) -> Promised:
    """What a model says of recordings under its certificate; they are as :meth:`Model.predict` takes them.

    With what is ``familiar`` to it, it says of each how strange it is.

    Raises:
        InputError: they do not fit, or the certificate is about another model.
    """
    part = model.read(recordings)
    poll = model.poll(part, certificate.compartments, progress=progress)
    found = applied(model, certificate, part, poll, certificate.seed)
    shares = model.probabilities(poll)
    order = shares.argsort(1, descending=True)
    inside = found.sets.gather(1, order)
    names = model.names
    found_strange = NONE if familiar is None else familiar.surprises(model.network, part, poll.hidden)
    first = found.stops.sets.to(torch.int8).argmax(1).tolist()
    lengths = torch.from_numpy(np.diff(part.starts).astype(np.int64))
    return Promised(
        tuple(
            tuple(names[c] for c, kept in zip(row, held, strict=True) if kept)
            for row, held in zip(order.tolist(), inside.tolist(), strict=True)
        ),
        tuple(
            names[c] if answered else None
            for c, answered in zip(first, found.stops.answered.tolist(), strict=True)
        ),
        torch.minimum(found.bins, lengths).double() * part.layout.bin_us * 1e-6,
        shares,
        *certify.strangeness(certificate, found_strange),
    )


def learned(
    model: Model, train: SpikeSet, compartments: int | None = None, *, progress: Progress | None = None
) -> Familiar:
    """What is familiar to a model: the recordings from which it has learned, and the hidden activity that they give."""
    poll = model.poll(train, compartments, progress=progress)
    return familiarity.familiar(model.network, train, poll.hidden, poll.labels)


def certified(
    model: Model,
    held: SpikeSet,
    asked: Asked,
    compartments: int | None = None,
    *,
    familiar: Familiar | None = None,
    fitted_on: str = "",
    assumes: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Certificate:
    """The certificate of a model, fitted on recordings that it has not learned from.

    Args:
        model: the model, which answers by its own decoder, from its own seed.
        held: labelled recordings, read as the training read its own.
        asked: what is to be promised.
        compartments: K, that answer; by default as many as in training.
        familiar: of :func:`learned`.
        fitted_on: the recordings, in words.
        assumes: what the promise rests on besides.
        progress: shows how far the work is.

    Raises:
        InputError: there are too few recordings, or no temperature for so many compartments.
    """
    poll = model.poll(held, compartments, progress=progress)
    return certify.fit(
        asked,
        poll,
        held.address,
        begin=first_observed(model.network.spec.warm_up, held.longest),
        temperature=_temperature(model, poll),
        seed=model.facts.seed,
        surprises=NONE if familiar is None else familiar.surprises(model.network, held, poll.hidden),
        weights=model.sha256,
        fitted_on=fitted_on,
        assumes=assumes,
    )


def applied(model: Model, certificate: Certificate, part: SpikeSet, poll: Poll, seed: int) -> Certified:
    """What a certificate makes of a poll of a part of the data.

    Raises:
        InputError: it is about other weights or other answers than these.
    """
    check_weights(model, certificate)
    certify.check_poll(certificate, poll, _temperature(model, poll), seed)
    return certify.apply(certificate, poll, part.address)


def check_weights(model: Model, certificate: Certificate) -> None:
    """Raise :class:`InputError` where a certificate is known to be about other weights."""
    if certificate.weights is not None and model.sha256 is not None and certificate.weights != model.sha256:
        raise InputError("the certificate is about other weights than these; certify the run anew")


def scores(model: Model, certificate: Certificate, part: SpikeSet, poll: Poll, seed: int) -> CertifiedScores:
    """How a certificate fares on a part of the data, see :func:`applied`."""
    found = applied(model, certificate, part, poll, seed)
    lengths = torch.from_numpy(np.diff(part.starts).astype(np.int64))
    return certify.score(certificate, found, poll.labels, lengths, part.layout.bin_us)


def keep_scores(
    folder: AnyPath,
    model: Model,
    certificate: Certificate,
    test: SpikeSet,
    *,
    progress: Progress | None = None,
) -> CertifiedScores:
    """How a certificate fares on the run's test part, kept in the run's folder for its report."""
    poll = model.poll(test, certificate.compartments, progress=progress)
    found = scores(model, certificate, test, poll, certificate.seed)
    told = {
        "promise": certificate.promise,
        "fitted_on": certificate.fitted_on,
        "assumes": list(certificate.assumes),
        "told": found.told(),
        **msgspec.to_builtins(found),
    }
    RunFolder(Path(folder)).write_json(CERTIFIED, told)
    return found


def _temperature(model: Model, poll: Poll) -> float:
    compartments = poll.votes.shape[1]
    temperature = model.temperature(compartments, poll.decoder)
    if temperature is None:
        raise InputError(facts.no_temperature(model.facts, compartments, poll.decoder))
    return temperature


def save(folder: AnyPath, certificate: Certificate, familiar: Familiar | None = None) -> None:
    """Write it into a run's folder, in the place of the one before, with what is familiar beside it."""
    parts = {} if familiar is None else familiar._asdict()
    tensors = {
        f"{name}.{key}": value
        for name, part in parts.items()
        if part is not None
        for key, value in part._asdict().items()
    }
    if tensors:
        RunFolder(Path(folder)).save_tensors(FAMILIAR, tensors, {"certificate": certificate.digest})
    else:
        (Path(folder) / FAMILIAR).unlink(missing_ok=True)
    told: dict[str, Any] = msgspec.to_builtins(certificate)
    content = msgspec.json.format(msgspec.json.encode(told | {"sha256": digest_of(told)}), indent=1)
    atomic_write(Path(folder) / FILE, content)


def of_run(run: AnyPath) -> Certificate:
    """The certificate of a run.

    Raises:
        InputError: it has none, or see :func:`load`.
    """
    found = load(run)
    if found is None:
        raise InputError(f"{run} has no certificate; gemsnn certify {run} makes one")
    return found


def familiar_of(run: AnyPath, certificate: Certificate) -> Familiar | None:
    """What is familiar to a run's network, as it was when this certificate was made; ``None`` where that is not known.

    Raises:
        InputError: the file is missing, damaged, or another certificate's.
    """
    known = {"hidden": certificate.surprises, "inputs": certificate.input_surprises}
    if not any(known.values()):
        return None
    folder = RunFolder(Path(run))
    found = folder.load_tensors(FAMILIAR)
    with safe_open(folder.path / FAMILIAR, framework="pt") as file:
        of = (file.metadata() or {}).get("certificate")
    if of != certificate.digest:
        raise InputError(f"{folder.path / FAMILIAR} belongs to another certificate; certify the run anew")
    try:
        parts = {
            name: Mixture(**{key: found[f"{name}.{key}"] for key in Mixture._fields}) if held else None
            for name, held in known.items()
        }
    except KeyError as error:
        raise InputError(f"{folder.path / FAMILIAR} is damaged; certify the run anew") from error
    return Familiar(**parts)


def load(folder: AnyPath) -> Certificate | None:
    """The certificate of a run; ``None`` where it has none.

    Raises:
        InputError: the file is damaged, or a newer version wrote it.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return None
    told = parsing.parse_json(parsing.read_text(path), str(path))
    written = told.get("format") if isinstance(told, dict) else None
    if type(written) is int and written != FORMAT:
        advice = "update gemsnn" if written > FORMAT else "certify the run anew"
        raise InputError(f"{path} has format {written}, this gemsnn reads format {FORMAT}; {advice}")
    if not isinstance(told, dict) or told.pop("sha256", None) != digest_of(told):
        raise InputError(f"{path} is damaged (its own SHA-256 differs); certify the run anew")
    try:
        return msgspec.convert(told, Certificate)
    except msgspec.ValidationError as error:
        raise InputError(f"{path} holds what it should not ({error}); certify the run anew") from None
