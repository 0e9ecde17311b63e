"""How a run learned, as figures."""

from __future__ import annotations

from collections.abc import Sequence

from gemsnn.plots.curves import Course, learning, reference
from gemsnn.report.svg import Row, page, panel, to_svg


def _drawn(
    rows: Sequence[Row], course: Course, alt: str, chance: float | None = None, recordings: int | None = None,
    kept: int | None = None,
) -> str:  # fmt: skip
    with page():
        figure, axes = panel()
        learning(rows, course, recordings=recordings, chance=chance, kept=kept, ax=axes)
        reference(axes, chance, "guessing")
    return to_svg(figure, course, alt)


def evidence_curve(rows: Sequence[Row]) -> str:
    """Log-likelihood of the target spikes while learning: the compartments' mean and their bound, which one has not."""
    return _drawn(rows, "log_likelihood", "Log-likelihood of the target spikes against presentations seen")


def activity_curve(rows: Sequence[Row]) -> str:
    """Spikes per hidden neuron and bin while learning."""
    return _drawn(rows, "hidden_rate", "Spikes per hidden neuron and bin against presentations seen")


def effective_compartments(rows: Sequence[Row]) -> str:
    """Effective sample size of the compartments' weights while learning."""
    return _drawn(rows, "ess", "Effective number of compartments against presentations seen")


def validation_curve(rows: Sequence[Row], chance: float | None, recordings: int | None) -> str:
    """Accuracy at every evaluation while learning, with guessing as a reference, and its error where it is known."""
    alt = "Accuracy on held-out recordings against presentations seen"
    return _drawn(rows, "accuracy", alt, chance, recordings)


def epochs_curve(rows: Sequence[Row], kept: int | None) -> str:
    """NLL of the answers to held-out recordings after each epoch, with a mark at the epoch whose weights were kept."""
    return _drawn(rows, "nll", "NLL of answers to held-out recordings after each epoch", kept=kept)
