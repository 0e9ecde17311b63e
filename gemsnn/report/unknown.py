"""How sure a network is of what it was never taught: of scribbles, beside test recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemsnn.report import figures_together
from gemsnn.report.numbers import NBSP, number, plural
from gemsnn.report.parts import figure, section
from gemsnn.report.reading import Run
from gemsnn.scoring import chance

TITLE = "Something else: scribbles"


def unknown(run: Run) -> str:
    """Confidences in test recordings beside those in scribbles; nothing where the run was not shown any."""
    found = run.unknown
    if found is None:
        return ""
    body = figure(
        figures_together.confidences(found),
        "How sure it is",
        "Shares of the recordings, by the highest probability that a class is given (without a temperature). The "
        "dashed line is the median. What has no answer, for lack of events, counts as even.",
    )
    layout = run.layout
    if layout is not None and layout.inputs == found["pictures"].shape[1]:
        body += figure(
            figures_together.pictures(found, layout, run.names),
            "Some scribbles, and what it takes them for",
            "Events summed over the recording, from the scribble it is surest of to the one it is least sure of, with "
            "its answer and its confidence.",
        )
    return section(TITLE, words(run), f'<div class="grid">\n{body}</div>\n')


def words(run: Run) -> str:
    """What the confidences show, and what they do not."""
    found = run.unknown
    assert found is not None
    known, others = found["known"], found["unknown"]
    text = (
        f"{plural(len(others), 'scribble')}, random strokes before the same emulated camera, are no class, yet it has "
        f"to answer. On average it is {100 * known.mean():.1f}{NBSP}% sure of test recordings and "
        f"{100 * others.mean():.1f}{NBSP}% of scribbles"
    )
    errors = [float(np.std(part) / max(len(part), 1) ** 0.5) for part in (known, others)]
    sign = chance.compare_means(float(known.mean()), errors[0], float(others.mean()), errors[1])
    text += {
        1: ": its confidence falls.",
        -1: ": it is surer of scribbles.",
        0: ": no difference beyond the error.",
    }[sign]
    several = number(found["compartments"])
    text += (
        f" A test recording is the surer one of a random pair in {_area(found, 'together')} of cases (AUROC; "
        f"50{NBSP}% is no telling)"
    )
    if found["compartments"] > 1:
        text += f" by {several} compartments, in {_area(found, 'alone')} by one alone"
    return f"{text}. {_still(others)}"


def _area(found: Mapping[str, Any], which: str) -> str:
    area, error = (100 * found[f"{which}_{part}"] for part in ("area", "error"))
    return f"{area:.1f}{NBSP}±{NBSP}{error:.1f}{NBSP}%"


def _still(others: NDArray[np.float64]) -> str:
    sure = float((others >= 0.9).mean())
    if sure == 0:
        return f"Of no scribble is it 90{NBSP}% sure."
    return (
        f"Of {100 * sure:.0f}{NBSP}% of the scribbles it is still 90{NBSP}% sure or more: a low confidence is a "
        "warning, a high one no proof."
    )
