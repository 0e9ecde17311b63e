"""Golden cases through the library: the one file of them that knows its interface.

A case goes the way of a run: settings, network, learner, batches, answers. What it ends with is kept under names that
do not follow the library's: parameters in their joint form, ``weight [N, J, L]``, ``feedback [N, Lf]``, ``bias [N]``.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from gemsnn import kernels
from gemsnn.learn import train
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.model import network as networks
from gemsnn.model.links import JOINT
from gemsnn.runs import config
from gemsnn.scoring import evaluate
from gemsnn.types import Layout, Presentation
from golden import cases
from golden.cases import Case

LAYOUT = Layout(cases.CHANNELS, cases.HEIGHT, cases.WIDTH, cases.CLASSES, cases.BIN_US)
COMPARTMENTS = 5
"""That answer."""

THREADS = 1
"""The products of ``reference`` are torch's, whose sums are split by the number of its threads from a certain size on
(seen in the case ``gem-cv-wide`` alone); those of ``cpu`` are not."""

Leaves = dict[str, Tensor]


def begin(case: Case, kernel: str):
    """Settings, network, parameters and presentations of a case."""
    tables = {**case.tables, "network": {**case.tables["network"], "kernel": kernel}}
    settings = config.from_tables(tables, case.name, usual=config.FORMER)
    network = networks.build(
        settings.network_spec(LAYOUT), seed=settings.train.seed, dtype=networks.DTYPES[settings.network.dtype]
    )
    return settings, network, networks.init(network, settings.train.seed)


def joint(params, prefix: str) -> Leaves:
    """Parameters, or moments of them, in the joint form."""
    return {
        f"{prefix}.weight": params.weights[JOINT].clone(),
        f"{prefix}.feedback": params.feedback.clone(),
        f"{prefix}.bias": params.bias.clone(),
    }


def moved(params, optimiser) -> Leaves:
    """What learning has made of parameters and optimiser."""
    leaves = {**joint(params, "params"), "updates": torch.tensor(optimiser.updates)}
    for name in ("first", "second"):
        if getattr(optimiser, name) is not None:
            leaves |= joint(getattr(optimiser, name), name)
    return leaves


def run(case: Case, kernel: str) -> Leaves:
    """Train, and ask for answers."""
    settings, network, params = begin(case, kernel)
    rows = [
        Presentation(torch.from_numpy(spikes), torch.from_numpy(target), label, 100 + number)
        for number, (spikes, target, label) in enumerate(cases.presentations(case))
    ]
    _, module = kernels.choose(settings.network.kernel, network, settings.learning)
    learned = []

    def learn(*args, **named):
        learned.append(module.learn(*args, **named))
        return learned[-1]

    heard = SimpleNamespace(learn=learn, rollout=module.rollout, refuses=module.refuses)
    learner = train.start(params, settings.learning)
    told = []
    for update in train.updates(network, learner, rows, settings.train, settings.learning, kernel=heard):
        learner = update.learner
        told.append([update.loss, update.bound, update.hidden_rate, update.ess])
    leaves = {
        **moved(learner.params, learner.optimiser),
        "log_likelihoods": torch.cat([batch.log_likelihood for batch in learned]),
        "log_weights": torch.cat([batch.log_weights for batch in learned]),
        "told": torch.tensor(told, dtype=torch.float64),
    }
    asked = (network, learner.params, rows, COMPARTMENTS)
    leaves["clamped"] = evaluate.log_likelihood(*asked, kernel=module, seed=5, batch=3)
    for decoder in case.decoders:
        found = evaluate.predict(*asked, kernel=module, seed=5, decoder=decoder, batch=3)
        leaves |= {
            f"{decoder}.votes": found.votes,
            f"{decoder}.probabilities": found.by_compartments.probabilities,
            f"{decoder}.logs": found.by_compartments.logs,
            f"{decoder}.by_time": found.by_time.probabilities,
            f"{decoder}.activity": torch.tensor(list(found.activity[:4]), dtype=torch.float64),
        }
    return leaves


def run_stream(case: Case, kernel: str) -> Leaves:
    """Two presentations side by side, in chunks, some with their targets and some without."""
    settings, network, params = begin(case, kernel)
    learning = settings.learning
    _, make = kernels.choose_stream(settings.network.kernel, network, learning)
    stream = make(
        network, params, learning.compartments, address=torch.tensor([3, 8]), seed=77, learning=learning,
        optimiser=train.start(params, learning).optimiser, lr=learning.optimiser.lr,
    )  # fmt: skip
    spikes, target = side_by_side(case, 2)
    done, at = [], 0
    for steps, told in case.chunks:
        chunk = slice(at, at + steps)
        done.append(stream.advance(spikes[:, chunk], target[:, chunk] if told else None))
        at += steps
    return {
        **moved(stream.params, stream.optimiser),
        "spikes": torch.cat([rollout.spikes for rollout in done], 2),
        "potential": torch.cat([rollout.potential for rollout in done], 2),
    }


def run_online(case: Case, kernel: str) -> Leaves:
    """A learner that answers at every third step, told the classes of some chunks."""
    learner = online_learner(case, kernel)
    return heard_online(case, learner, range(len(case.chunks)))


def online_learner(case: Case, kernel: str) -> OnlineLearner:
    """The learner, at its beginning."""
    settings, network, params = begin(case, kernel)
    spec = OnlineSpec(settings.train.compartments, window=9, every=3, seed=4, address=6, least_spikes=30)
    return OnlineLearner(network, params, spec, learning=settings.learning, kernel=settings.network.kernel)


def heard_online(case: Case, learner: OnlineLearner, chunks: range) -> Leaves:
    """What a learner makes of these chunks, all before which it has heard."""
    spikes, _ = side_by_side(case, 1)
    said, at = [], sum(steps for steps, _ in case.chunks[: chunks.start])
    for number in chunks:
        steps, told = case.chunks[number]
        said += learner.step(spikes[0, at : at + steps], number % cases.CLASSES if told else None)
        at += steps
    told = [[decision.entropy, decision.hidden_rate] for decision in said]
    return {
        **moved(learner.params, learner.optimiser),
        "bins": torch.tensor([decision.bin for decision in said]),
        "labels": torch.tensor([-1 if decision.label is None else decision.label for decision in said]),
        "votes": torch.stack([decision.votes for decision in said]),
        "probabilities": torch.stack([decision.probabilities for decision in said]),
        "told": torch.tensor(told, dtype=torch.float64),
    }


def side_by_side(case: Case, count: int) -> tuple[Tensor, Tensor]:
    """Spikes ``[B, T, M]`` and targets ``[B, T, V]`` of as many steps as the chunks have."""
    steps = sum(steps for steps, _ in case.chunks)
    shown = cases.presentations(Case(case.name, case.tables, lengths=(steps,) * count, pattern=True))
    spikes, target, _ = zip(*shown, strict=True)
    return torch.from_numpy(np.stack(spikes)), torch.from_numpy(np.stack(target))


def results():
    """All results to come, as triples: a name, and the function and its arguments that make it."""
    for made, run_one in ((cases.TRAININGS, run), (cases.STREAMS, run_stream), (cases.ONLINE, run_online)):
        for case in made:
            for kernel in case.kernels:
                yield f"{case.name}/{kernel}", run_one, (case, kernel)
