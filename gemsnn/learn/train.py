"""Presentations through a learning kernel, with records kept and the validation part scored now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol

import torch

from gemsnn import rng
from gemsnn.errors import DivergedError, InputError
from gemsnn.kernels.contract import Kernel, Learning, check_kernel
from gemsnn.learn.crew import Crew
from gemsnn.learn.judging import is_ahead, losses, validate
from gemsnn.learn.state import RECORDED, Best, Learner, Numbers, TrainingState
from gemsnn.model import network as networks
from gemsnn.model.network import Network, Params, check_params
from gemsnn.rules import optimisers
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.scoring import metrics
from gemsnn.scoring.answers import Decoder, check_decoder
from gemsnn.scoring.scores import ValidationScores
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Range, Seed
from gemsnn.specs.needs import needs, one_of
from gemsnn.store import trees
from gemsnn.types import ChangingSequence, Presentation, PresentationSequence, Progress

if TYPE_CHECKING:
    from gemsnn.learn.federated import Round

Schedule = Literal["constant", "cosine"]
Keep = Literal["best", "last"]


@dataclass(frozen=True)
class TrainSpec:
    """How long and in what portions to train.

    Attributes:
        compartments: K.
        epochs: passes over the training part.
        batch: presentations in parallel, B; they share weights and average their steps.
        views: versions of each presentation in its batch, V: each with compartments and an augmentation of its own.
        update_every: steps between updates, or ``"presentation"`` for one update at the end.
        schedule: the step size over the whole training: constant, or falling to zero along a cosine.
        evaluate_every: epochs between two scorings of the validation part.
        keep: which weights answer in the end: those of the epoch that answers the validation part best, where the last
            answers it worse by more than chance makes it; or always the last.
        patience: epochs without a better one after which the training ends; 0 for never.
        checkpoint_every: batches between two checkpoints; there is one at the end of every epoch as well.
        seed: addresses all randomness of the run.
    """

    compartments: Count = 1
    epochs: Count = 10
    batch: Count = 16
    views: Count = 1
    update_every: Count | Literal["presentation"] = "presentation"
    schedule: Schedule = "cosine"
    evaluate_every: Count = 5
    keep: Keep = "best"
    patience: Annotated[int, Range(0, checks.MOST), needs(one_of("keep", "best"))] = 0
    checkpoint_every: Count = 100
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)

    @property
    def update_steps(self) -> int | None:
        """Steps between updates; ``None`` for one update a presentation."""
        return None if self.update_every == "presentation" else self.update_every


class Update(NamedTuple):
    """One learned batch.

    Attributes:
        learner: the state after it.
        epoch: the pass it belongs to, from 1.
        ends_epoch: whether it is the last of its pass.
        presentations: presentations learned so far.
        loss: minus the mean over compartments of the visible log-likelihood, nats per presentation.
        bound: the K-sample bound, ``log mean_k exp v^k``, nats per presentation; where compartments are replaced,
            with the running log-evidence (:mod:`gemsnn.rules.resampling`).
        hidden_rate: spikes per hidden neuron and step.
        ess: effective sample size of q at the presentations' ends, between 1 and K.
        round: what a round of a fleet has cost; ``None`` where no fleet learns.

    Where the likelihoods or shares are no longer finite, there is neither bound nor ess: both are NaN.
    """

    learner: Learner
    epoch: int
    ends_epoch: bool
    presentations: int
    loss: float
    bound: float
    hidden_rate: float
    ess: float
    round: Round | None = None


def start(params: Params, learning: Learning | OptimiserSpec) -> Learner:
    """A learner that has learned nothing yet, with the state of an optimiser at its beginning."""
    optimiser = learning if isinstance(learning, OptimiserSpec) else learning.optimiser
    return Learner(params, optimisers.init(optimiser, params), 0)


def rate_factor(schedule: Schedule, done: float) -> float:
    """What the schedule makes of the step size when a share ``done`` of the training lies behind."""
    return 1.0 if schedule == "constant" else (1 + math.cos(math.pi * done)) / 2


def updates(
    network: Network,
    learner: Learner,
    presentations: PresentationSequence,
    spec: TrainSpec,
    learning: Learning,
    *,
    kernel: Kernel,
    crew: Crew | None = None,
    batches: int | None = None,
) -> Iterator[Update]:
    """Learn batch after batch, from where the learner stands to the last epoch, or to so many ``batches``.

    The order of presentations is drawn anew for every epoch, from the seed; the noise of a presentation is
    addressed by the seed, the epoch and the presentation's index. So is what a
    :class:`~gemsnn.types.ChangingSequence` changes: its ``e``-th epoch of V views holds the versions of the epochs
    ``e V .. e V + V - 1`` of one view. Where there is a crew, this process learns its share of every batch.

    Raises:
        InputError: the parameters are another network's, or the kernel lacks something of its contract.
    """
    check_kernel(kernel)
    check_params(network, learner.params)
    per_epoch = -(-len(presentations) // spec.batch)
    total = spec.epochs * per_epoch if batches is None else batches
    while learner.batches < total:
        epoch, position = divmod(learner.batches, per_epoch)
        order = rng.generator(spec.seed, "order", epoch).permutation(len(presentations))
        chosen = order[position * spec.batch : (position + 1) * spec.batch]
        runs = [(int(i), view) for i in chosen for view in range(spec.views)]
        own = runs if crew is None else crew.own(runs)
        rows = (_version(presentations, i, epoch, view, spec.views) for i, view in own)
        how: Any = {
            "seed": rng.derive(spec.seed, "train", epoch),
            "lr": learning.optimiser.lr * rate_factor(spec.schedule, learner.batches / total),
        }
        if crew is None:
            batch = networks.batch(network, rows)
            learned = kernel.learn(network, learner.params, learner.optimiser, learning, batch, **how)
        else:
            learned = crew.learn(kernel, network, learner, rows, len(runs), **how)
        learner = Learner(learned.params, learned.optimiser, learner.batches + 1)
        share = torch.softmax(learned.log_weights, 1)
        diverged = not bool(learned.log_likelihood.isfinite().all() and share.isfinite().all())
        yield Update(
            learner=learner,
            epoch=epoch + 1,
            ends_epoch=position + 1 == per_epoch,
            presentations=epoch * len(presentations) + min((position + 1) * spec.batch, len(presentations)),
            loss=-float(learned.log_likelihood.mean()),
            bound=math.nan if diverged else float(learned.bound.mean()),
            hidden_rate=float(learned.hidden_rate.mean()),
            ess=math.nan if diverged else float(metrics.effective_sample_size(share).mean()),
        )


def _version(
    presentations: PresentationSequence, position: int, epoch: int, view: int, views: int
) -> Presentation:
    """A presentation as one of its views has it: changed as in an epoch of its own, where it is, and with its noise."""
    changing = isinstance(presentations, ChangingSequence)
    shown = (presentations.at_epoch(epoch * views + view) if changing else presentations)[position]
    if view == 0:
        return shown
    return shown._replace(address=rng.derive(shown.address, "view", view) >> 1)  # addresses have 63 bits


class Learners(Protocol):
    """Who learns in place of one process, batch after batch: a fleet (:class:`gemsnn.learn.fleet.Fleet`)."""

    def together(self, spec: TrainSpec) -> TrainSpec:
        """The same training with the batch that all learn in one step."""
        ...

    def updates(
        self, network: Network, learner: Learner, presentations: PresentationSequence, spec: TrainSpec,
        learning: Learning, *, kernel: Kernel, crew: Crew | None = None,
    ) -> Iterator[Update]:  # fmt: skip
        """See :func:`updates`; the spec is that of :meth:`together`."""
        ...


class Watcher(NamedTuple):
    """What :func:`fit` tells the outside.

    Attributes:
        record: takes every line of ``metrics.jsonl``.
        show: takes every update, and the validation's scores when there are new ones.
        checkpoint: takes the training's state every so many batches, at the end of every epoch, and at a stop.
        stop: asked after every batch; true ends the training.
        progress: wraps the updates to show how far the training has come.
    """

    record: Callable[[dict[str, Any]], None] = lambda _: None
    show: Callable[[Update, ValidationScores | None], None] = lambda *_: None
    checkpoint: Callable[[TrainingState], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False
    progress: Progress = lambda items, total, what: items


def fit(
    network: Network,
    state: TrainingState | Learner,
    presentations: PresentationSequence,
    validation: PresentationSequence,
    spec: TrainSpec,
    learning: Learning,
    *,
    kernel: Kernel,
    decoder: Decoder = "votes",
    watcher: Watcher | None = None,
    crew: Crew | None = None,
    learners: Learners | None = None,
) -> tuple[TrainingState, bool]:
    """Train to the last epoch, or until the watcher says stop; the decoder scores the validation part.

    Which weights are kept moves nothing of the learning: the noise by which epochs are compared is of its own. Where
    there is a crew, all of its workers call this with the same arguments but the watcher, and reach the same. With a
    ``learners`` others learn.

    Returns:
        How far training came, and whether that is its end.

    Raises:
        InputError: there is nothing to train on, the decoder cannot serve the network, or the weights are no
            longer finite.
    """
    if not len(presentations):
        raise InputError("there is nothing to train on: the training part is empty")
    check_decoder(decoder, network)
    watcher = watcher or Watcher()
    spec = spec if learners is None else learners.together(spec)
    learner, window, before, best, ahead = state if isinstance(state, TrainingState) else TrainingState(state)
    window, began = list(window), time.perf_counter()
    saved = learner.batches

    def seconds() -> float:
        return round(before + time.perf_counter() - began, 3)

    def reached() -> TrainingState:
        return TrainingState(learner, tuple(window), seconds(), best, ahead)

    if best is not None and _is_over(spec, learner, best, presentations):
        return reached(), True
    learn = updates if learners is None else learners.updates
    rows = learn(network, learner, presentations, spec, learning, kernel=kernel, crew=crew)
    left = spec.epochs * -(-len(presentations) // spec.batch) - learner.batches
    for update in watcher.progress(rows, max(0, left), "training"):
        _check_finite(update, learning, saved)
        done, learner = learner.batches, update.learner
        window.append({name: getattr(update, name) for name in RECORDED})
        at = {
            "update": learner.optimiser.updates,
            "epoch": update.epoch,
            "presentations": update.presentations,
        }
        if update.round is not None:
            watcher.record(
                {"kind": "round", **at, **update.round._asdict(), "loss": update.loss, "seconds": seconds()}
            )
        scores = None
        stopping = watcher.stop() if crew is None else crew.any(watcher.stop())
        if crew is not None and update.ends_epoch:
            crew.name_slow()
        if len(window) == RECORD_EVERY or update.ends_epoch:
            watcher.record({"kind": "train", **at, **_mean(window), "seconds": seconds()})
            window.clear()
        last = update.epoch == spec.epochs
        shown = last or update.epoch % spec.evaluate_every == 0
        if update.ends_epoch and len(validation) and shown and (crew is None or crew.leads):
            seed = rng.derive(spec.seed, "validation")
            scores = validate(
                network, learner.params, validation, spec.compartments,
                kernel=kernel, seed=seed, decoder=decoder,
            )  # fmt: skip
            told = {"kind": "evaluation", "split": "validation", **at, **scores.to_json()}
            watcher.record({**told, "seconds": seconds()})
        if update.ends_epoch and len(validation) and spec.keep == "best":
            now = losses(
                network, learner.params, validation,
                kernel=kernel, seed=rng.derive(spec.seed, "keep"), decoder=decoder, crew=crew,
            )  # fmt: skip
            if best is None or now.mean() < best.losses.mean():
                best = Best(learner.params, update.epoch, now)
            ahead = is_ahead(best.losses, now, update.epoch)
            kept = best.epoch if ahead else update.epoch
            told = {"kind": "epoch", "split": "validation", **at, "nll": float(now.mean()), "kept": kept}
            watcher.record({**told, "seconds": seconds()})
        watcher.show(update, scores)
        if (
            update.ends_epoch
            or stopping
            or learner.batches // spec.checkpoint_every > done // spec.checkpoint_every
        ):
            watcher.checkpoint(reached())
            saved = learner.batches
        if best is not None and update.ends_epoch and _is_over(spec, learner, best, presentations):
            break
        if stopping and not (last and update.ends_epoch):
            return reached(), False
    return reached(), True


def _is_over(spec: TrainSpec, learner: Learner, best: Best, presentations: PresentationSequence) -> bool:
    """Whether so many epochs have ended without a better one that training ends before its last."""
    done = learner.batches // -(-len(presentations) // spec.batch)
    return 0 < spec.patience <= done - best.epoch


RECORD_EVERY = 20
"""Batches that one training record averages over."""


def _mean(window: list[Numbers]) -> Numbers:
    return {
        name: float(torch.tensor([numbers[name] for numbers in window], dtype=torch.float64).mean())
        for name in RECORDED
    }


def _check_finite(update: Update, learning: Learning, kept: int) -> None:
    """Stop before numbers that are none spoil a checkpoint."""
    if all(leaf.sum().isfinite() for leaf in trees.leaves(update.learner.params)) and math.isfinite(
        update.loss + update.ess
    ):
        return
    raise DivergedError(
        f"the weights are no longer finite after batch {update.learner.batches} (epoch {update.epoch}, rule "
        f"{learning.rule.name}, {learning.optimiser.optimiser} with lr {learning.optimiser.lr:g}); the last good "
        f"checkpoint is that of batch {kept}; train again with a smaller --lr"
    )
