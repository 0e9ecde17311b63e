"""How a run learned, as figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gemsnn.report.svg import (
    MAIN,
    MUTED,
    SECOND,
    Row,
    band,
    column,
    from_zero,
    legend,
    panel,
    reference,
    share_axis,
    smoothed,
    styled,
    to_svg,
    window,
)


def evidence_curve(rows: Sequence[Row], compartments: int | None = None) -> str:
    """Log-likelihood of the target spikes while learning: the compartments' mean and their bound, which one has not."""
    with styled():
        figure, axes = panel()
        x = column(rows, "presentations")
        if compartments != 1:
            smoothed(axes, x, column(rows, "bound"), SECOND, "together (bound)")
        smoothed(axes, x, -column(rows, "loss"), MAIN, "each alone (mean)" if compartments != 1 else None)
        axes.set(xlabel="presentations seen", ylabel="log-likelihood, nats")
        window(axes, np.concatenate([column(rows, "bound"), -column(rows, "loss")]))
        legend(axes)
    return to_svg(figure, "evidence", "Log-likelihood of the target spikes against presentations seen")


def activity_curve(rows: Sequence[Row]) -> str:
    """Spikes per hidden neuron and step while learning."""
    with styled():
        figure, axes = panel()
        smoothed(axes, column(rows, "presentations"), column(rows, "hidden_rate"), MAIN)
        axes.set(xlabel="presentations seen", ylabel="spikes per neuron and step")
        from_zero(axes, column(rows, "hidden_rate"))
    return to_svg(figure, "activity", "Spikes per hidden neuron and step against presentations seen")


def effective_compartments(rows: Sequence[Row]) -> str:
    """Effective sample size of the compartments' weights while learning."""
    with styled():
        figure, axes = panel()
        smoothed(axes, column(rows, "presentations"), column(rows, "ess"), MAIN)
        axes.set(xlabel="presentations seen", ylabel="effective compartments")
        from_zero(axes, column(rows, "ess"))
    return to_svg(figure, "effective", "Effective number of compartments against presentations seen")


def validation_curve(rows: Sequence[Row], chance: float | None, recordings: int | None) -> str:
    """Accuracy at every evaluation while learning, with guessing as a reference, and its error where it is known."""
    with styled():
        figure, axes = panel()
        x, share = column(rows, "presentations"), column(rows, "accuracy")
        if recordings:
            band(axes, x, share, recordings, MAIN)
        axes.plot(x, 100 * share, "o-", color=MAIN, markersize=4)
        reference(axes, chance, MUTED, "guessing")
        axes.set(xlabel="presentations seen")
        share_axis(axes, chance)
        axes.set_xlim(left=0)
        legend(axes)
    return to_svg(figure, "validation", "Accuracy on held-out recordings against presentations seen")


def epochs_curve(rows: Sequence[Row], kept: int | None) -> str:
    """NLL of the answers to held-out recordings after each epoch, with a mark at the epoch whose weights were kept."""
    with styled():
        figure, axes = panel()
        x, nll = column(rows, "epoch"), column(rows, "nll")
        axes.plot(x, nll, "o-", color=MAIN, markersize=3)
        marked = x == kept
        axes.plot(x[marked], nll[marked], "o", color=SECOND, markersize=8, label="kept")
        axes.set(xlabel="epoch", ylabel="NLL, nats")
        from_zero(axes, nll)
        legend(axes)
    return to_svg(figure, "epochs", "NLL of answers to held-out recordings after each epoch")
