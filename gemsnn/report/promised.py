"""What a run's certificate promises, and how it fared on the test part."""

from __future__ import annotations

from html import escape

from gemsnn.report.numbers import plural
from gemsnn.report.parts import section
from gemsnn.report.reading import Run

TITLE = "What it promises"


def promised(run: Run) -> str:
    """The promise, what it rests on, and how it was kept; nothing where the run has no certificate."""
    found = run.certified
    if found is None:
        return ""
    rests = "".join(f"<li>{escape(each)}</li>\n" for each in found["assumes"])
    body = (
        f"<p>On {plural(found['recordings'], 'recording')} of the test part: {escape(found['told'])}</p>\n"
        f"<p>Fitted on {escape(found['fitted_on'])}. It rests on this:</p>\n<ul>\n{rests}</ul>\n"
    )
    return section(TITLE, escape(found["promise"]), body)
