"""A run folder made of drawn numbers, with the files and keys that training writes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import tomli_w
import torch
from safetensors.torch import save_file

from gemsnn.scoring import measure, metrics, neurobench
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.scores import plain

CLASSES = 10


def draw_votes(presentations: int, compartments: int, skill: float, generator: torch.Generator):
    """Votes [B, K] of compartments that share a difficulty per presentation, and labels [B]."""
    labels = torch.randint(CLASSES, (presentations,), generator=generator)
    easy = torch.rand(presentations, 1, generator=generator) ** (1 / skill)
    right = torch.rand(presentations, compartments, generator=generator) < easy
    rival = torch.randint(CLASSES, (presentations, 1), generator=generator)
    return torch.where(right, labels[:, None], rival.expand_as(right)), labels


def answers(shares: torch.Tensor, compartments: int) -> Answers:
    return Answers(shares, metrics.smoothed_shares(shares, compartments, CLASSES).log())


ERRORS = {
    "plain": {"accuracy": 0.02, "nll": 0.05, "brier": 0.02, "ece": 0.015},
    "tempered": {"accuracy": 0.02, "nll": 0.04, "brier": 0.02, "ece": 0.012},
    "change": {"accuracy": 0.0, "nll": 0.02, "brier": 0.005, "ece": 0.004},
}


def scores(shares: torch.Tensor, labels: torch.Tensor, compartments: int) -> dict[str, float]:
    return plain(measure.answer_scores(answers(shares, compartments), labels))


def final_metrics(presentations: int, compartments: int, generator: torch.Generator) -> dict[str, Any]:
    votes, labels = draw_votes(presentations, compartments, 3.0, generator)
    shares = metrics.vote_shares(votes, CLASSES)
    prefixes = metrics.vote_shares_by_compartments(votes, CLASSES)
    curve = metrics.selective_accuracy(shares, labels)
    by_time = []
    for step in range(1, 81):
        early, names = draw_votes(presentations, compartments, 0.2 + 2.8 * step / 80, generator)
        row = scores(metrics.vote_shares(early, CLASSES), names, compartments)
        by_time.append({"step": step, "ms": 25.0 * step, **row})
    return {
        "schema": 1,
        "status": "finished",
        "split": "test",
        "presentations": presentations,
        "compartments": compartments,
        "classes": CLASSES,
        "bin_us": 25000,
        "decoder": "votes",
        **scores(shares, labels, compartments),
        "tempered": {
            **plain(measure.tempered_scores(answers(shares, compartments), labels, 1.25)),
            "reliability": plain(metrics.reliability(shares, labels).cells()),
            "selective": [{"coverage": 0.8, "accuracy": 0.95}, {"coverage": 1.0, "accuracy": 0.8}],
        },
        "errors": ERRORS,
        "log_likelihood": -37.25,
        "by_compartments": [
            {"compartments": k, **scores(prefixes[k - 1], labels, k), "log_likelihood": -37 - 4 / k}
            for k in range(1, compartments + 1)
        ],
        "by_time": by_time,
        "reliability": plain(metrics.reliability(shares, labels).cells()),
        "selective": [
            {"coverage": float(kept), "accuracy": float(right)}
            for kept, right in zip(curve.coverage, curve.accuracy, strict=True)
        ],
        "confusion": metrics.confusion_matrix(shares, labels).tolist(),
        "costs": {
            "spikes_per_neuron_step": {"inputs": 0.021, "hidden": 0.113, "visible": 0.052},
            "synaptic_operations_per_step": 2314.6,
            "scalars_per_step": {"up": CLASSES * compartments, "down": (64 + CLASSES) * compartments},
        },
        "neurobench": {
            "footprint": 1_250_000,
            "connection_sparsity": 0.0,
            "activation_sparsity": 0.893,
            "synaptic_operations": {"effective_macs": 0.0, "effective_acs": 2.5e6, "dense": 4e7},
            "energy_joules": 2.25e-6,
            "energy_assumes": neurobench.ASSUMED,
        },
        "baseline": {
            "name": "logistic regression on event counts per pixel",
            "accuracy": 0.912,
            "nll": 0.31,
            "brier": 0.13,
            "ece": 0.021,
            "errors": ERRORS,
            "tempered": {"temperature": 0.95, "nll": 0.305, "brier": 0.129, "ece": 0.018},
        },
    }


def history(updates: int, generator: torch.Generator) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for update in range(1, updates + 1):
        noise = torch.randn(3, generator=generator).tolist()
        fall = math.exp(-update / (0.25 * updates))
        loss = 39 + 30 * fall + 1.5 * noise[0]
        at = {"update": update, "epoch": 1 + 8 * update // (updates + 1), "presentations": 32 * update}
        rows.append(
            {
                "kind": "train",
                **at,
                "loss": loss,
                "bound": -loss + 1.5 + 0.2 * noise[1],
                "hidden_rate": 0.11 + 0.1 * fall,
                "ess": 2.3 + 2 * fall + 0.1 * noise[2],
                "seconds": 0.1 * update,
            }
        )
        if update % max(1, updates // 8) == 0:
            rows.append(
                {
                    "kind": "evaluation",
                    "split": "validation",
                    **at,
                    "accuracy": 0.86 - 0.6 * fall,
                    "ece": 0.05 + 0.1 * fall,
                    "nll": 0.5 + fall,
                    "brier": 0.2 + 0.5 * fall,
                    "log_likelihood": -38 - 30 * fall,
                    "seconds": 0.1 * update,
                }
            )
    return rows


def example(compartments: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    steps, side, hidden, label = 80, 26, 64, 3
    centre = side / 2 + side / 4 * torch.sin(torch.linspace(0, 12, steps))
    place = torch.arange(side * side) % side
    near = (place[None, :] - centre[:, None]).abs() < 2
    inputs = near & (torch.rand(steps, side * side, generator=generator) < 0.3)
    rate = 0.15 * torch.rand(hidden, generator=generator) ** 2 * (1 + 2 * torch.rand(steps, 1))
    spikes = torch.rand(compartments, steps, hidden, generator=generator) < rate
    favour = torch.full((CLASSES,), 0.02)
    favour[label], favour[8] = 0.25, 0.12
    visible = torch.rand(compartments, steps, CLASSES, generator=generator) < favour
    return {
        "inputs": inputs.to(torch.uint8),
        "hidden": spikes.to(torch.uint8),
        "visible": visible.to(torch.uint8),
        "label": torch.tensor([label]),
        "votes": visible.sum(1).argmax(1),
    }


def write_run(run: Path, *, compartments: int = 20, presentations: int = 357, updates: int = 200) -> Path:
    """Write a finished run into the folder ``run`` and return it; tests then break what they like."""
    generator = torch.Generator().manual_seed(1)
    run.mkdir(parents=True)
    config = {
        "data": {"data": "digits", "bin_us": 25000, "warm_up": 0.5},
        "network": {"hidden": [64], "topology": "layered"},
        "rule": {"rule": "gem-cv", "kappa": 1.0},
        "train": {"epochs": 8, "batch": 32, "compartments": 5},
        "evaluate": {"votes": compartments},
    }
    (run / "config.toml").write_text(tomli_w.dumps(config))
    manifest = {
        "gemsnn": "0.1.0",
        "python": "3.11.7",
        "torch": "2.13.0+cpu",
        "platform": "Linux-6.1-x86_64",
        "seed": 7,
        "git_commit": None,
        "kernel": "block",
        "threads": 2,
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:14:05+00:00",
        "seconds": {"data": 4.0, "train": 570.5, "evaluate": 25.1},
        "status": "finished",
        "notes": [],
        "presentations": {"train": 1200, "validation": 240, "test": presentations},
        "layout": {"channels": 1, "height": 26, "width": 26, "classes": CLASSES, "bin_us": 25000},
    }
    (run / "manifest.json").write_text(json.dumps(manifest))
    lines = "".join(json.dumps(row) + "\n" for row in history(updates, generator))
    (run / "metrics.jsonl").write_text(lines)
    (run / "metrics.json").write_text(json.dumps(final_metrics(presentations, compartments, generator)))
    for kind, answer, entropy in (("unsure", 8, 1.2), ("sure", 3, 0.0)):
        facts = {"bin_us": 25000, "index": 17, "answer": answer, "entropy": entropy, "begin": 40}
        save_file(
            example(compartments, generator),
            run / f"example-{kind}.safetensors",
            metadata={name: str(value) for name, value in facts.items()},
        )
    fields = {
        "field": torch.randn(12, 26 * 26, generator=generator),
        "neuron": torch.arange(12),
        "lag": torch.ones(12, dtype=torch.int64),
    }
    save_file(fields, run / "fields.safetensors", metadata={"kind": "hidden"})
    return run


def edit(path: Path, **changes: Any) -> None:
    """Replace keys of a JSON object in a file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
