"""The notes of a run in its report are sentences, and it says which epoch's weights answer."""

import json
from pathlib import Path

import pytest
from synthetic_run import edit, write_run

from gemsnn import report


@pytest.fixture
def run(tmp_path) -> Path:
    return write_run(tmp_path / "run", updates=20)


def test_notes_are_sentences(run):
    edit(run / "manifest.json", notes=["an emulated camera", "Some files were skipped."])
    written = report.write_report(run).read_text()
    assert "Note: an emulated camera. Some files were skipped.</p>" in written


@pytest.mark.parametrize(
    ("kept", "said"), [(2, "lowest after epoch 2 of 3"), (3, "so the last one's weights answer")]
)
def test_the_epoch_whose_weights_answer(run, kept, said):
    nll = [0.5, 0.31, 0.33]
    rows = [
        {
            "kind": "epoch",
            "split": "validation",
            "epoch": at,
            "presentations": 10 * at,
            "nll": nll[at - 1],
            "kept": at,
        }
        for at in (1, 2, 3)
    ]
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    edit(run / "manifest.json", kept={"epoch": kept, "of": 3})
    written = report.write_report(run).read_text()
    assert "Which weights answer" in written
    assert said in written


def test_a_run_that_was_not_asked_says_nothing(run):
    assert "Which weights answer" not in report.write_report(run).read_text()
