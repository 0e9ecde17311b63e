"""A network beside a sensor: it runs without end, answers as it goes, and learns when it is told the class.

Time is cut into bins. In every bin all K compartments advance by one step; each votes for the class whose visible
neuron has spiked most in the last ``window`` bins, and the shares of the votes are the class probabilities, or, with
the decoder ``rates``, those of the output spikes themselves; ``mixture`` and ``pooled`` take what the output potentials
told in these bins
(:mod:`gemsnn.scoring.evaluate` has the same for presentations that end: given the bins of one, a learner of the same
seed and address answers at its last bin as it does, to the bit). While a class is told, the visible neurons are
clamped to it, and their votes are the spikes that they would have fired: drawn from their potentials before the
step's update, with the very noise of a free run. Where no neuron hears the visible ones, an answer while learning is
thus the answer that there would have been without the teacher.

Silence says nothing: while fewer than ``least_spikes`` input spikes lie in the bins that the votes rest on, there is no
answer, whatever the compartments' own noise has made them vote for.

What a learner holds does not grow with time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from gemsnn import kernels, rng
from gemsnn.data.arrivals import ArrivalSpec, Clock, Counts, EventBins
from gemsnn.data.events import Events
from gemsnn.errors import InputError
from gemsnn.kernels import KernelName, Learning
from gemsnn.learn import decisions
from gemsnn.learn.certified import Certifier, Verdict
from gemsnn.learn.decisions import Activity, Decision, OnlineSpec, Told
from gemsnn.model import network as networks
from gemsnn.model import step as stepping
from gemsnn.model.network import Network, Params
from gemsnn.rules import optimisers
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.scoring import mixtures, sampling
from gemsnn.scoring.answers import COUNTED, Answers, check_decoder
from gemsnn.scoring.familiar import Familiar
from gemsnn.scoring.promise import Certificate
from gemsnn.specs import checks
from gemsnn.specs.checks import Range
from gemsnn.store import trees as states
from gemsnn.types import class_target

RATES_OVER = 1000
"""Bins over which the hidden neurons' rates are averaged."""


class Passed(NamedTuple):
    """How far a learner has come.

    Attributes:
        bins: that have passed, skipped ones with them.
        steps: that the network has made.
        skipped: bins that have passed without it.
        spikes: of hidden neurons since the last answer.
        chances: bins since then.
    """

    bins: int = 0
    steps: int = 0
    skipped: int = 0
    spikes: int = 0
    chances: int = 0


class OnlineLearner:
    """A network that runs without end.

    Args:
        network: the network.
        params: parameters to begin with.
        spec: how it answers.
        arrivals: how events become bins, where :meth:`step` is given events.
        learning: how it learns, with ``update_every`` steps, ``gamma < 1`` and ``kappa < 1``; without
            it, it never does.
        optimiser: the optimiser's state to begin with, by default a fresh one.
        kernel: the code that runs it; auto takes the fastest that serves the case.
        certificate: what is promised of its answers, see :mod:`gemsnn.learn.certified`.
        familiar: what its alarm knows of hidden activity and inputs, of the same certificate.
        false_alarms: the probability that its alarm is ever raised, where the world stays as it was.

    Attributes:
        passed: how far it has come.
        bins: its open bins, or ``None``.
        activity: what its neurons did in the bins that were advanced by last, at most a block of those that events
            have closed; ``None`` at the beginning.
        certifier: its certificate at work, or ``None``.

    Raises:
        InputError: the settings do not fit one another, the certificate is about other answers, or no stream serves
            the case.
    """

    def __init__(
        self,
        network: Network,
        params: Params,
        spec: OnlineSpec | None = None,
        *,
        arrivals: ArrivalSpec | None = None,
        learning: Learning | None = None,
        optimiser: OptimiserState | None = None,
        kernel: KernelName = "auto",
        certificate: Certificate | None = None,
        familiar: Familiar | None = None,
        false_alarms: float = 0.01,
    ) -> None:
        self.network, self.spec, self.learning = network, spec or OnlineSpec(), learning
        networks.check_params(network, params)
        if arrivals is not None and arrivals.layout.inputs != network.spec.inputs:
            raise InputError(
                f"the bins have {arrivals.layout.inputs} inputs and the network {network.spec.inputs}; "
                "give the layout it was trained with"
            )
        check_decoder(self.spec.decoder, network)
        compartments = self.spec.compartments
        if learning is not None and learning.compartments != compartments:
            raise InputError(
                f"it cannot answer with {compartments} compartments and learn with {learning.compartments}; "
                "give both the same number"
            )
        if learning is not None and optimiser is None:
            optimiser = optimisers.init(learning.optimiser, params)
        self.kernel, make = kernels.choose_stream(kernel, network, learning)
        self._seed = sampling.free_seed(self.spec.seed)
        self._ties = sampling.tie_seed(self._seed)
        self._label_ties = rng.derive(self.spec.seed, "stream", "label ties")
        self._address = torch.tensor([self.spec.address], device=network.taps.device)
        self._stream = make(
            network, params, compartments, address=self._address, seed=self._seed, learning=learning,
            optimiser=optimiser, lr=0.0 if learning is None else learning.optimiser.lr,
        )  # fmt: skip
        self.bins = None if arrivals is None else EventBins(arrivals)
        self.passed = Passed()
        self.activity: Activity | None = None
        visible, hidden = network.spec.visible, network.spec.hidden_neurons
        self._recent = torch.zeros(compartments, self.spec.window, visible, dtype=torch.uint8)
        self._said = self._recorded = (
            None  # what the decoders mixture and pooled need: of the window, of the recording
        )
        if self.spec.decoder not in COUNTED:
            self._said = torch.zeros(compartments, self.spec.window, visible, dtype=torch.int64)
            self._recorded = torch.zeros(visible, dtype=torch.int64)
        self._rates = torch.zeros(hidden, dtype=torch.float64)
        self._heard = torch.zeros(self.spec.window, dtype=torch.int64)
        self.certifier = None if certificate is None else self._certified(certificate, familiar, false_alarms)

    def _certified(
        self, certificate: Certificate, familiar: Familiar | None, false_alarms: float
    ) -> Certifier:
        spec = self.spec
        certificate.check(spec.compartments, spec.decoder, spec.seed)
        whole = certificate.checkpoints[-1] - certificate.begin
        if spec.window != whole:
            raise InputError(
                f"the certificate is about answers that rest on {whole} bins, not on {spec.window}; leave out the "
                "window"
            )
        return Certifier(
            certificate, self.network.spec.visible, address=spec.address, least_spikes=spec.least_spikes,
            inputs=self.network.spec.inputs, hidden=self.network.spec.hidden_neurons, familiar=familiar,
            false_alarms=false_alarms,
        )  # fmt: skip

    @property
    def params(self) -> Params:
        """The parameters by now; looking at them changes nothing."""
        return self._stream.params

    @property
    def optimiser(self) -> OptimiserState | None:
        """The optimiser's state by now."""
        return self._stream.optimiser

    def step(self, arrived: Events | Tensor, target: int | None = None) -> list[Decision]:
        """Advance by the bins that have passed.

        Args:
            arrived: events (:data:`gemsnn.data.events.EVENT`), which close bins by their times, or the spikes of bins
                that have passed, uint8 ``[C, M]`` (or ``[M]`` for one).
            target: the class of all these bins; without it they are not learned.

        Returns:
            The answers that were due.

        Raises:
            InputError: wrong shapes or types, or the weights are no longer finite.
        """
        if isinstance(arrived, Tensor):
            return self._advance(arrived[None] if arrived.dim() == 1 else arrived, target)
        if self.bins is None:
            raise InputError("a learner that is given events needs to know their bins: make it with arrivals")
        return self._through(self.bins.push(arrived), target)

    def tick(self, elapsed_us: int, target: int | None = None) -> list[Decision]:
        """So many microseconds have passed since the last events: advance by the bins that close even in silence."""
        return [] if self.bins is None else self._through(self.bins.tick(elapsed_us), target)

    def skip(self, bins: int) -> None:
        """Let bins pass without the network: it stands still. For a computer that cannot keep up."""
        checks.number(bins, Annotated[int, Range(0, 2**62)], "bins")
        self.passed = self.passed._replace(bins=self.passed.bins + bins, skipped=self.passed.skipped + bins)

    def begin(self) -> None:
        """With the next bin a recording begins, of which the certificate promises something."""
        if self.certifier is not None:
            self.certifier.begin()
            if self._recorded is not None:
                self._recorded = torch.zeros_like(self._recorded)

    def hidden_rates(self) -> Tensor | None:
        """Spikes per bin of each hidden neuron, float64 ``[H]``, averaged with weights that fade over 1000 bins.

        ``None`` before 1000 steps have been made.
        """
        if self.passed.steps < RATES_OVER:
            return None
        return self._rates / (1 - math.exp(-self.passed.steps / RATES_OVER))

    def _through(self, blocks: Iterable, target: int | None) -> list[Decision]:
        return [answer for block in blocks for answer in self._advance(torch.from_numpy(block), target)]

    def _advance(self, spikes: Tensor, target: int | None) -> list[Decision]:
        visible = self.network.spec.visible
        if spikes.dim() != 2 or spikes.shape[1] != self.network.spec.inputs or spikes.dtype != torch.uint8:
            raise InputError(
                f"spikes must be uint8 [C, {self.network.spec.inputs}], not {spikes.dtype} {list(spikes.shape)}"
            )
        if target is not None and not (isinstance(target, Integral) and 0 <= target < visible):
            raise InputError(f"the class {target} is out of range: classes are 0 .. {visible - 1}")
        if not len(spikes):
            return []
        taught = target is not None and self.learning is not None
        clamp = None
        if taught and target is not None:
            clamp = networks.targets(self.network, class_target(target, len(spikes), visible)[None])
        device = self.network.taps.device
        done = self._stream.advance(spikes[None].to(device), None if clamp is None else clamp.to(device))
        first, count = self.passed.steps, len(spikes)
        if not done.potential.isfinite().all():
            raise InputError(self._not_finite(first))
        fired = done.spikes[0]
        if taught:
            uniform = rng.uniforms(
                self._seed, self._address, range(first, first + count), self.spec.compartments,
                self.network.spec.neurons, device=device,
            )  # fmt: skip
            would = stepping.spike(self.network, uniform[0].transpose(0, 1), done.potential[0])
            fired = would.to(torch.uint8)
        hidden = done.spikes[0, ..., : self.network.spec.hidden_neurons]
        visible, hidden = sampling.home(sampling.said(self.network, fired, self.spec.readouts), hidden)
        counts, votes = self._vote(visible, first)
        said, told = self._tell(done.potential)
        self.activity = Activity(hidden, visible, counts, votes, told)
        found = Told(votes, counts.sum(0), None if told is None else told[-1])
        heard = self._hear(spikes)
        verdicts = self._verdicts(
            visible, hidden, spikes, heard, said, decisions.bare(self.spec, found), target
        )
        return self._answers(found, heard, hidden, target, verdicts)

    def _tell(self, potential: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """What the first k compartments tell, of potentials ``[1, K, C, N]``: of each step, and of its window.

        Both ``[K, C, V]``, the one in whole units, the other divided; nothing where the decoder does not ask.
        """
        if self._said is None:
            return None, None
        window, count = self.spec.window, potential.shape[2]
        (said,) = sampling.home(mixtures.units(self.network, potential, self.spec.readouts)[0])
        known = torch.cat([self._said, said], 1)
        self._said = known[:, count:].clone()
        steps = torch.arange(1, count + 1) + self.passed.steps
        evidence = _windowed(known, window, count, dim=1)
        return said, mixtures.divided(self.spec.decoder, self.network, evidence, steps.clamp(max=window))

    def _hear(self, spikes: Tensor) -> Tensor:
        """Input spikes (or events) in the window after each step, int64 ``[C]``, of those of the steps, ``[C, M]``."""
        count = len(spikes)
        known = torch.cat([self._heard, spikes.sum(1, dtype=torch.int64)])
        self._heard = known[count:].clone()
        return _windowed(known, self.spec.window, count)

    def _vote(self, fired: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Spikes in the window after each step, int64 ``[K, C, V]``, of visible ones alike; and votes, ``[K, C]``."""
        window, count = self.spec.window, fired.shape[1]
        known = torch.cat([self._recent, fired], 1)
        self._recent = known[:, count:].clone()
        counts = _windowed(known.to(torch.int64), window, count, dim=1)
        votes = sampling.most(counts[None], self._address, range(first, first + count), seed=self._ties)[0]
        return counts, votes

    def _verdicts(
        self, fired: Tensor, hidden: Tensor, spikes: Tensor, heard: Tensor, said: Tensor | None, last: Answers,
        target: int | None,
    ) -> Iterator[Verdict | None]:  # fmt: skip
        """What the certificate makes of each step, of visible spikes ``[K, C, V]``, hidden ones and inputs."""
        if self.certifier is None:
            return itertools.repeat(None)
        counts, first = self.certifier.counts(fired), self.passed.steps
        steps = range(first, first + len(spikes))
        votes = sampling.most(counts[None], self._address, steps, seed=self._ties)[0]
        evidence = None
        if said is not None and self._recorded is not None:
            observed = self.certifier.observed(len(spikes))
            summed = self._recorded + (said[-1] * observed[:, None]).cumsum(0)
            number = self.certifier.observed_before + observed.cumsum(0)
            evidence, self._recorded = (
                mixtures.divided(self.spec.decoder, self.network, summed, number),
                summed[-1],
            )
        so_far = decisions.bare(self.spec, Told(votes, counts.sum(0), evidence))
        return self.certifier.verdicts(counts, so_far, spikes, last, heard, hidden, target)

    def _answers(
        self,
        found: Told,
        heard: Tensor,
        hidden: Tensor,
        target: int | None,
        verdicts: Iterator[Verdict | None],
    ) -> list[Decision]:
        """Take note of the hidden spikes ``[K, C, H]``, and answer where an answer is due."""
        votes, every, passed = found.votes, self.spec.every, self.passed
        count = votes.shape[1]
        fade = torch.exp(-torch.arange(count - 1, -1, -1, dtype=torch.float64) / RATES_OVER)
        mean = hidden.to(torch.float64).mean(0)
        fresh = (1 - math.exp(-1 / RATES_OVER)) * (fade @ mean)
        self._rates = math.exp(-count / RATES_OVER) * self._rates + fresh
        spikes = hidden.sum((0, 2), dtype=torch.int64).tolist()
        answers, since, chances = [], passed.spikes, passed.chances
        each = self.spec.compartments * max(hidden.shape[2], 1)
        visible, silent = self.network.spec.visible, (heard < self.spec.least_spikes).tolist()
        shares, probabilities, rank = decisions.shares(self.spec, found)
        steps, nothing = range(passed.steps, passed.steps + count), torch.full_like(shares[0], 1 / visible)
        labels = sampling.most(rank[None, None], self._address, steps, seed=self._label_ties)[0, 0].tolist()
        for c, verdict in zip(range(count), verdicts, strict=False):
            since, chances = since + spikes[c], chances + 1
            if (passed.bins + c + 1) % every:
                continue
            p = nothing if silent[c] else shares[c]
            answers.append(
                Decision(
                    bin=passed.bins + c,
                    label=None if silent[c] else labels[c],
                    reason="silence" if silent[c] else None,
                    probabilities=nothing if silent[c] else probabilities[c],
                    entropy=max(0.0, -float(torch.xlogy(p, p).sum())),
                    votes=votes[:, c],
                    hidden_rate=since / (each * chances),
                    target=target,
                    verdict=verdict,
                )
            )
            since = chances = 0
        self.passed = passed._replace(
            bins=passed.bins + count, steps=passed.steps + count, spikes=since, chances=chances
        )
        return answers

    def _not_finite(self, step: int) -> str:
        if self.learning is None:
            return f"the network's potentials are not finite at step {step}; its parameters are damaged"
        return (
            f"the weights are no longer finite at step {step} (rule {self.learning.rule.name}, "
            f"{self.learning.optimiser.optimiser} with lr {self.learning.optimiser.lr:g}); go back to the last good "
            "state, and learn on with a smaller lr"
        )

    def state(self) -> dict[str, Tensor]:
        """A copy of all that goes on, to the bit; saving it changes nothing."""
        saved = {
            "recent": self._recent.clone(),
            "rates": self._rates.clone(),
            "heard": self._heard.clone(),
            **({} if self.certifier is None else self.certifier.state()),
            **self._memory(),
            **states.flat("passed", self.passed),
            **{f"stream.{name}": leaf for name, leaf in self._stream.state().items()},
        }
        if self.bins is not None:
            saved |= states.flat("counts", self.bins.counts) | states.flat("clock", self.bins.clock)
            saved["open"] = self.bins.open_bins
        return saved

    def _memory(self) -> dict[str, Tensor]:
        """What the decoders mixture and pooled have kept."""
        kept: Any = {"said": self._said, "recorded": self._recorded}
        return {name: leaf.clone() for name, leaf in kept.items() if leaf is not None}

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` of a learner with the same settings has returned.

        Raises:
            InputError: it is the state of another learner, or damaged.
        """
        self._recent = states.filled("recent", self._recent, leaves)
        self._rates = states.filled("rates", self._rates, leaves)
        self._heard = states.filled("heard", self._heard, leaves)
        self.passed = states.filled("passed", self.passed, leaves)
        if self.certifier is not None:
            self.certifier.restore(leaves)
        if self._said is not None and self._recorded is not None:
            self._said = states.filled("said", self._said, leaves)
            self._recorded = states.filled("recorded", self._recorded, leaves)
        if self.bins is not None:
            counts = states.filled("counts", Counts(), leaves)
            clock = states.filled("clock", Clock(), leaves)
            if "open" not in leaves:
                raise InputError(
                    "the saved state lacks open bins; it was written by a stream with other settings"
                )
            self.bins.restore(counts, clock, leaves["open"])
        prefix = "stream."
        self._stream.restore({k.removeprefix(prefix): v for k, v in leaves.items() if k.startswith(prefix)})


def _windowed(known: Tensor, window: int, count: int, dim: int = 0) -> Tensor:
    """Sums over the last ``window`` steps, after each of the last ``count`` of ``window + count`` known ones."""
    before = torch.zeros_like(known.narrow(dim, 0, 1))
    sums = torch.cat([before, known], dim).cumsum(dim)
    return sums.narrow(dim, window + 1, count) - sums.narrow(dim, 1, count)
