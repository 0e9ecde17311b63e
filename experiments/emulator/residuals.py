"""How close the emulator comes to real recordings: a table, and three figures beside this script.

    python experiments/emulator/residuals.py --data DIR

Recordings 1 .. 100 were used for the fit, 101 .. 200 were not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from summary import BIN_US, Summary, correlation, emulated, real_recordings, smooth, summarize, zeros

from gemsnn.data.camera import MNIST_DVS_SCALE4

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
HALVES = {"fit": range(1, 101), "held out": range(101, 201)}
REAL, EMULATED = "tab:blue", "tab:orange"


def rows(real: Summary, made: Summary) -> dict[str, tuple[str, str]]:
    """The table's rows: real value and emulated value, or a correlation in the second column."""

    def pair(a: float, b: float, digits: int = 0) -> tuple[str, str]:
        return f"{a:,.{digits}f}", f"{b:,.{digits}f}"

    def corr(a: np.ndarray, b: np.ndarray) -> tuple[str, str]:
        return "", f"{correlation(a, b):.3f}"

    def gaps(summary: Summary, kind: int, below: int) -> float:
        return float(summary.gaps[kind, :, :below].sum() / summary.gaps.sum())

    return {
        "events, mean": pair(real.counts.mean(), made.counts.mean()),
        "events, standard deviation": pair(real.counts.std(), made.counts.std()),
        "ON share, mean": pair(real.on_share.mean(), made.on_share.mean(), 3),
        "ON share, standard deviation": pair(real.on_share.std(), made.on_share.std(), 4),
        "active two-channel bins, mean": pair(real.active.mean(), made.active.mean()),
        "active bins, standard deviation": pair(real.active.std(), made.active.std()),
        "gaps of same polarity below 3.2 ms, share": pair(gaps(real, 0, 3), gaps(made, 0, 3), 3),
        "gaps of same polarity, share": pair(gaps(real, 0, 99), gaps(made, 0, 99), 3),
        "rate over time, correlation": corr(real.rate.sum(0), made.rate.sum(0)),
        "rate over time OFF, correlation": corr(real.rate[0], made.rate[0]),
        "rate over time ON, correlation": corr(real.rate[1], made.rate[1]),
        "events a pixel, correlation": corr(real.profile.sum(0), made.profile.sum(0)),
        "events a pixel OFF, correlation": corr(real.profile[0], made.profile[0]),
        "events a pixel ON, correlation": corr(real.profile[1], made.profile[1]),
        "50 ms x pixel x polarity, smoothed, correlation": corr(smooth(real.film), smooth(made.film)),
        "events of each recording, correlation": corr(real.counts, made.counts),
    }


def table(pairs: dict[str, tuple[Summary, Summary]]) -> str:
    """The residuals of both halves as a Markdown table."""
    columns = {name: rows(real, made) for name, (real, made) in pairs.items()}
    head = [f"real, {name} | emulated, {name}" for name in columns]
    lines = ["| | " + " | ".join(head) + " |", "|---" + "|---:" * (2 * len(columns)) + "|"]
    for row in next(iter(columns.values())):
        cells = [cell for column in columns.values() for cell in column[row]]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_rates(real: Summary, made: Summary) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True, layout="constrained")
    time_s = (np.arange(80) + 0.5) * BIN_US * 1e-6
    for polarity, (axis, name) in enumerate(zip(axes, ("OFF", "ON"), strict=True)):
        axis.plot(time_s, real.rate[polarity], color=REAL, label="real")
        axis.plot(time_s, made.rate[polarity], color=EMULATED, label="emulated")
        axis.set(title=name, xlabel="time (s)", ylim=(0, None))
    axes[0].set_ylabel("events per 25 ms")
    axes[1].legend(frameon=False)
    figure.savefig(HERE / "rate.png", dpi=100)


def draw_maps(real: Summary, made: Summary) -> None:
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
    top = np.quantile(real.profile, 0.995)
    drawn = None
    for column, (name, summary) in enumerate((("real", real), ("emulated", made))):
        for polarity, sign in enumerate(("OFF", "ON")):
            axis = axes[2 * polarity + column]
            drawn = axis.imshow(summary.profile[polarity], vmin=0, vmax=top)
            axis.set(title=f"{sign}, {name}", xticks=[], yticks=[])
    assert drawn is not None
    figure.colorbar(drawn, ax=axes, label="events per pixel in 2 s")
    figure.savefig(HERE / "maps.png", dpi=100)


def draw_counts(real: Summary, made: Summary) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    edges = np.linspace(8_000, 16_000, 25)
    axes[0].hist(real.counts, edges, histtype="step", color=REAL, label="real")
    axes[0].hist(made.counts, edges, histtype="step", color=EMULATED, label="emulated")
    axes[0].set(xlabel="events in 2 s", ylabel="recordings")
    axes[0].legend(frameon=False)
    axes[1].plot(real.counts, made.counts, ".", color="black")
    axes[1].plot(edges, edges, color="gray", linewidth=0.8)
    axes[1].set(xlabel="events, real", ylabel="events, emulated")
    figure.savefig(HERE / "counts.png", dpi=100)


def main(data: Path) -> None:
    pairs = {
        name: (
            summarize(real_recordings(data, numbers)),
            summarize(emulated(zeros(data, numbers), MNIST_DVS_SCALE4, numbers)),
        )
        for name, numbers in HALVES.items()
    }
    print(table(pairs))
    for draw in (draw_rates, draw_maps, draw_counts):
        draw(*pairs["held out"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    main(parser.parse_args().data)
