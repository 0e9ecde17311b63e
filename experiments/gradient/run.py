"""Bias and variance of every rule's hidden-weight gradient, on networks small enough to enumerate.

    python experiments/gradient/run.py [--quick] [--out DIR]

A rule is one entry of ESTIMATORS: a function from a problem and drawn paths to gradient estimates.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.model import glm
from gemsnn.model import network as networks
from gemsnn.model import step as stepping
from gemsnn.model.basis import BasisSpec
from gemsnn.model.network import Network, NetworkSpec, Params
from gemsnn.model.step import Step
from gemsnn.rules import advance as advancing
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.named import CREDIT, NAMED, RuleName
from gemsnn.store import trees

CONFIG = {"networks": 10, "draws": 20_000, "compartments": [1, 2, 5, 10, 20], "steps": 5}
SYNAPSE = BasisSpec(count=2, taps=3)
SPEC = NetworkSpec(2, 1, (2,), "full", synapse=SYNAPSE, weight_scale=3.0, hidden_rate=0.3)


class Problem(NamedTuple):
    """The P hidden paths of one presentation, and the exact gradient of log p(x) for the W hidden weights."""

    network: Network
    params: Params
    prior: Tensor  # [P], p(h || x)
    evidence: Tensor  # [P, T]
    scores: Params  # leading dimensions [P, T]
    happened: list[Step]  # of each step t, its leaves [P, ..] but for the inputs' traces, [1, ..]
    exact: Tensor  # [W]


def hidden_weights(network: Network, params: Params) -> Tensor:
    """The synapses that exist, ``[.., W]``."""
    mask = network.mask[: network.spec.hidden_neurons]
    return params.weights["joint"][..., : len(mask), :, :][..., mask, :].flatten(-2)


def some_paths(now: Step, take: Callable[[Tensor], Tensor]) -> Step:
    """A step of some of the paths; inputs are those of all."""
    traces = tuple(each._replace(neurons=take(each.neurons)) for each in now.traces)
    return Step(take(now.spikes), take(now.potential), traces, take(now.own_trace))


def make(seed: int, steps: int) -> Problem:
    network = networks.build(SPEC, dtype=torch.float64)
    params = networks.init(network, seed)
    draw = rng.generator(seed, "presentation")
    inputs = torch.from_numpy(draw.random((1, steps, SPEC.inputs)) < 0.6).double()
    target = torch.from_numpy(draw.random((1, steps, SPEC.visible)) < 0.5).double()
    hidden, alive = SPEC.hidden_neurons, torch.tensor([True])
    paths = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * (steps * hidden)).reshape(-1, steps, hidden)
    state = stepping.initial_state(network, 1, len(paths))
    log_probs, scores, happened = [], [], []
    for t in range(steps):
        # a uniform number of 0 makes a neuron spike, one of 1 keeps it silent
        uniform = torch.nn.functional.pad(1 - paths[None, :, t], (0, SPEC.visible))
        state, now = stepping.step(
            network, params, state, inputs[:, t], uniform, clamp=target[:, t], observed=alive, alive=alive
        )
        log_probs.append(glm.log_prob(now.spikes, now.potential)[0])
        scores.append(trees.map(lambda leaf: leaf[0], stepping.local_gradient(network, now, alive)))
        happened.append(some_paths(now, lambda leaf: leaf[0]))
    log_prob = torch.stack(log_probs, 1)
    stacked = trees.map(lambda *leaves: torch.stack(leaves, 1), *scores)
    prior, evidence = log_prob[..., :hidden].sum((1, 2)), log_prob[..., hidden:].sum(2)
    # grad log p(x) = E grad log p(x, h) over the posterior of h
    exact = torch.softmax(prior + evidence.sum(1), 0) @ hidden_weights(network, stacked).sum(1)
    return Problem(network, params, prior.exp(), evidence, stacked, happened, exact)


def by_rule(rule: RuleName, problem: Problem, drawn: Tensor) -> Tensor:
    """The rule's batch direction for each of R draws of K paths (``drawn [R, K]``), ``[R, W]``."""
    network, params, steps = problem.network, problem.params, len(problem.happened)
    as_it_comes = NAMED[rule].needs == CREDIT  # read at every step
    spec = RuleSpec(rule, kappa=1.0, gamma=1.0, readout="every-step" if as_it_comes else "last-step")
    start, true = advancing.init(spec, network, params, 1, drawn.shape[1]), torch.tensor([True])

    def one(chosen: Tensor) -> Tensor:
        state, total = start, torch.zeros_like(problem.exact)
        for t, now in enumerate(problem.happened):
            taken = some_paths(now, lambda leaf: leaf[None, chosen])
            read = torch.tensor([as_it_comes or t == steps - 1])
            state, direction = advancing.advance(
                spec, network, params, state, taken, observed=true, alive=true, read=read
            )
            total = total + hidden_weights(network, direction)
        return total

    return torch.vmap(one)(drawn)


def whole_trace(present: int, problem: Problem, drawn: Tensor) -> Tensor:
    """The mean of ``(v - b) e``, with b from averages that hold the present step (1, as published) or not (0)."""
    scores = hidden_weights(problem.network, problem.scores)
    v, e = problem.evidence.cumsum(1)[..., None], scores.cumsum(1)
    steps = v.shape[1]
    decay = RuleSpec("ml").baseline_decay ** torch.arange(steps, 0, -1)[:, None]
    above, below = ((f * decay)[:, : steps - 1 + present].sum(1) for f in (v * e**2, e**2))
    single = (v[:, -1] - torch.where(below > 0, above / below, 0.0)) * e[:, -1]
    return single[drawn].mean(1)


BY_RULE: tuple[RuleName, ...] = ("gem", "gem-cv", "one-hop-cv", "one-hop", "iw", "iw-ovis", "mb", "ml")
Estimator = Callable[[Problem, Tensor], Tensor]
ESTIMATORS: dict[str, Estimator] = {
    **{rule: partial(by_rule, rule) for rule in BY_RULE},
    "(v[t] - b[t-1]) e": partial(whole_trace, 0),
    "(v[t] - b[t]) e": partial(whole_trace, 1),
}


def measure(estimator: Estimator, problem: Problem, drawn: Tensor) -> dict[str, float]:
    """In units of the exact gradient's norm, with standard errors over draws; the bias without what noise adds."""
    found = torch.cat([estimator(problem, part) for part in drawn.split(1000)]) / problem.exact.norm()
    exact, root = problem.exact / problem.exact.norm(), len(drawn) ** 0.5
    squared = (found - found.mean(0)).square().sum(1)
    cosine = found @ exact / found.norm(dim=1).clamp(min=1e-300)
    noise = squared.mean().sqrt() / root
    bias = ((found.mean(0) - exact).square().sum() - noise**2).clamp(min=0).sqrt()
    values = {"bias": bias, "bias_error": noise, "variance": squared.mean(), "cosine": cosine.mean()}
    values |= {"variance_error": squared.std() / root, "cosine_error": cosine.std() / root}
    return {name: float(f"{float(value):.4g}") for name, value in values.items()}


def table(rows: list[dict], key: str, compartments: list[int]) -> str:
    """Mean over networks and its standard error."""
    lines = ["| " + " | ".join([key, *(f"K = {k}" for k in compartments)]) + " |"]
    lines.append("|---" * (len(compartments) + 1) + "|")
    for name in ESTIMATORS:
        cells = [f"`{name}`"]
        for k in compartments:
            values = torch.tensor([row[key] for row in rows if (row["rule"], row["K"]) == (name, k)])
            digits = 0 if values.mean() >= 100 else 1 if values.mean() >= 10 else 2
            cells.append(f"{values.mean():.{digits}f} ± {values.std() / len(values) ** 0.5:.{digits}f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--quick", action="store_true", help="two networks, few draws, to see that it works")
    arguments = parser.parse_args()
    config = CONFIG | ({"networks": 2, "draws": 200} if arguments.quick else {})
    began, rows, counts = time.perf_counter(), [], config["compartments"]
    for seed in range(config["networks"]):
        problem, generator = make(seed, config["steps"]), torch.Generator().manual_seed(seed)
        size = config["draws"] * max(counts)
        drawn = torch.multinomial(problem.prior, size, replacement=True, generator=generator)
        drawn = drawn.reshape(config["draws"], -1)
        for k in counts:
            for name, estimator in ESTIMATORS.items():
                rows.append(
                    {"network": seed, "rule": name, "K": k, **measure(estimator, problem, drawn[:, :k])}
                )
        print(f"network {seed}: {time.perf_counter() - began:.0f} s", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "results.json").write_text(json.dumps({"config": config, "rows": rows}) + "\n")
    for key in ("bias", "variance", "cosine"):
        print("\n" + table(rows, key, counts))


if __name__ == "__main__":
    main()
