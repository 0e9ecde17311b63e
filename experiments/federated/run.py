"""What a fleet's accuracy costs in communication: how often it averages, how its devices differ, what they send.

    python experiments/federated/run.py [--seeds 0 1 2] [--quick] [--out FOLDER]

Emulated digits through the demo's window, five devices with a hundred recordings each: dealt out alike, and learned by
Adam, or two classes a device, by plain SGD. Each trains on as many batches whatever tau, the number of them between two
averagings. Beside it the same recordings in one place, each device alone, and for one tau the other optimiser. Every
finished training is a line of FOLDER/results.jsonl and is not repeated; the table is printed, and FOLDER/trade-off.png
drawn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gemsnn
from gemsnn import plots
from gemsnn.learn import federated
from gemsnn.learn.federated import FleetSpec
from gemsnn.store import trees

DEVICES, BATCH = 5, 2
TAUS = (1, 4, 16, 64)
OTHER = 4
"""The tau of the comparison with the other optimiser, whose step size is the same."""
SENDS: dict[str, dict[str, Any]] = {
    "full": {}, "8-bit": {"send": "8-bit"}, "sparse": {"send": "sparse", "share": 0.05},
}  # fmt: skip
SKEWS: dict[str, dict[str, Any]] = {"alike": {}, "two classes a device": {"classes_per_device": 2}}
OPTIMISERS = {"alike": ("adam", "sgd"), "two classes a device": ("sgd", "adam")}
"""That of all trainings, and the other one."""
LEARNING: dict[str, Any] = {
    "hidden": [32], "warm_up": 0.2, "lr": 0.01, "keep": "last",
    "shift": 0, "rotate": 0.0, "zoom": 0.0,
}  # fmt: skip
CONFIG = {"recordings": 500, "epochs": 8, "taus": TAUS, "sends": tuple(SENDS)}
QUICK = {"recordings": 50, "epochs": 1, "taus": (1, 4), "sends": ("8-bit",)}


def jobs(config: dict[str, Any], seeds: list[int]) -> list[dict[str, Any]]:
    """What is trained, by name; whole seeds come one after the other."""
    found = []
    for seed in seeds:
        for skew, (_, other) in OPTIMISERS.items():
            found += [{"seed": seed, "how": how, "skew": skew} for how in ("together", "alone")]
            found += [
                {"seed": seed, "how": send, "skew": skew, "tau": tau}
                for send, tau in itertools.product(config["sends"], config["taus"])
            ]
            found.append({"seed": seed, "how": f"full, {other}", "skew": skew, "tau": OTHER})
    return found


def run(job: dict[str, Any], data: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Train, and count how often ten compartments are right on the test part."""
    train = data.train.select(slice(0, config["recordings"]))
    send, _, other = job["how"].partition(", ")
    learning = {**LEARNING, "epochs": config["epochs"], "seed": job["seed"]}
    learning["optimiser"] = other or OPTIMISERS[job["skew"]][0]
    if job["how"] == "together":
        models = [gemsnn.fit(train, batch=DEVICES * BATCH, **learning)]
    elif job["how"] == "alone":
        owned = federated.dealt(train.labels, FleetSpec(DEVICES, **SKEWS[job["skew"]]), job["seed"])
        models = [gemsnn.fit(train.select(own), batch=BATCH, **learning) for own in owned]
    else:
        chosen = {
            "devices": DEVICES,
            "every": job["tau"],
            "batch": BATCH,
            **SKEWS[job["skew"]],
            **SENDS[send],
        }
        models = [gemsnn.federate(train, **chosen, **learning)]
    labels = data.test.labels
    right = [(gemsnn.predict(model, data.test, 10).indices.numpy() == labels).mean() for model in models]
    found = {**job, "accuracy": float(np.mean(right))}
    if "tau" not in job:
        return found
    leaves = list(trees.leaves(models[0].params))
    sizes = [leaf.numel() for leaf in leaves]
    spec = FleetSpec(DEVICES, **SENDS[send])
    message = federated.encoded(spec, torch.zeros(sum(sizes), dtype=leaves[0].dtype), sizes)
    steps = config["epochs"] * math.ceil(len(train) / (DEVICES * BATCH))
    share = math.ceil(steps / job["tau"]) / steps  # averagings a step
    return {**found, "scalars": message.values.numel() * share, "bytes": message.bytes * share}


def told(values: list[float]) -> str:
    """Mean and standard error."""
    error = f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{error}"


def grouped(found: list[dict[str, Any]]) -> dict[tuple[str, str, int | None], list[dict[str, Any]]]:
    """The rows of all seeds, by what was trained."""
    groups: dict[tuple[str, str, int | None], list[dict[str, Any]]] = {}
    for row in found:
        groups.setdefault((row["skew"], row["how"], row.get("tau")), []).append(row)
    return groups


def table(found: list[dict[str, Any]]) -> str:
    """A row for each way to learn."""
    lines = [
        "| devices | sent | tau | numbers a batch | bytes a batch | right |", "|" + "---|" * 6,
    ]  # fmt: skip
    for (skew, how, tau), rows in grouped(found).items():
        sent = [f"{rows[0][key]:,.0f}" if tau else "" for key in ("scalars", "bytes")]
        right = told([row["accuracy"] for row in rows])
        lines.append(f"| {' | '.join([skew, how, str(tau or ''), *sent, right])} |")
    return "\n".join(lines)


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Accuracy against bytes a step, a panel for each skew; bars are standard errors over seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    groups = grouped(found)

    def mean(skew: str, how: str) -> float | None:
        rows = groups.get((skew, how, None))
        return None if rows is None else float(np.mean([row["accuracy"] for row in rows]))

    with plots.style():
        figure = Figure(figsize=(7, 2.8), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, skew in zip(figure.subplots(1, len(SKEWS), sharey=True), SKEWS, strict=True):
            for how, marker in zip(SENDS, "osD", strict=True):
                rows = [(tau, groups[skew, how, tau]) for tau in TAUS if (skew, how, tau) in groups]
                if not rows:
                    continue
                accuracy = [[row["accuracy"] for row in each] for _, each in rows]
                errors = [
                    np.std(each, ddof=1) / len(each) ** 0.5 if len(each) > 1 else 0 for each in accuracy
                ]
                at = [each[0]["bytes"] for _, each in rows]
                axes.errorbar(
                    at, np.mean(accuracy, 1), errors, marker=marker, markersize=4, capsize=2,
                    label={"full": "in full", "sparse": "largest 5 %"}.get(how, how),
                )  # fmt: skip
                if how == "full":
                    for (tau, _), x, y in zip(rows, at, np.mean(accuracy, 1), strict=True):
                        axes.annotate(
                            f"τ = {tau}",
                            (x, y),
                            (0, -11),
                            textcoords="offset points",
                            fontsize=6,
                            ha="center",
                        )
            for how, label in (("together", "in one place"), ("alone", "each alone")):
                height = mean(skew, how)
                if height is not None:
                    axes.axhline(height, linestyle="--", linewidth=0.8, color=plots.COLOURS["black"])
                    axes.text(
                        0.01, height, label, fontsize=6, va="bottom", transform=axes.get_yaxis_transform()
                    )
            axes.set(xscale="log", title=f"{skew} ({OPTIMISERS[skew][0]})", xlim=(1e2, 3e5))
            axes.set(xlabel="bytes sent by a device for each batch it learns")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        figure.axes[0].set(ylabel="accuracy", ylim=(0, 1))
        figure.axes[0].legend(loc="lower right")
        plots.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="two tau on 50 recordings, to see that it works")
    arguments = parser.parse_args()
    config = QUICK if arguments.quick else CONFIG
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "results.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    data = gemsnn.dataset("digits", crop="8,8,10x10", steps=20)
    for job in jobs(config, [0] if arguments.quick else arguments.seeds):
        if any(job.items() <= row.items() for row in found):
            continue
        found.append(run(job, data, config))
        with path.open("a") as file:
            file.write(json.dumps(found[-1]) + "\n")
        print(found[-1], flush=True)
    draw(found, arguments.out / "trade-off.png")
    print(table(found))


if __name__ == "__main__":
    main()
