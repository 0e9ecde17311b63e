"""Makes ``goldens.safetensors`` and ``format1``: ``cd tests && python -m golden.make``.

They were made once; to make them anew is to say that what the library computes has changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import save_file

import gemsnn
from gemsnn.runs import console
from golden import folders, runner
from golden.keeping import Goldens

PATH = Path(__file__).parent / "goldens.safetensors"
EXPECTED = folders.FOLDER / "expected.safetensors"
KEPT = ("config.toml", "manifest.json", "model.json", "metrics.json", "metrics.jsonl", "checkpoint.json")
NOTE = (
    f"Made by gemsnn {gemsnn.__version__} in its first design, where a network is one mask over neurons in two parts, "
    "hidden and visible, before it was a graph of populations and projections; but for answers by the decoder "
    "likelihood, whose last digits are those since class log-probabilities are summed in one place for all decoders."
)


def made() -> dict[str, runner.Leaves]:
    """All results, each of them finite."""
    results = {}
    for name, run, arguments in runner.results():
        assert name not in results
        results[name] = run(*arguments)
        for leaf, value in results[name].items():
            assert value.isfinite().all(), f"{name}/{leaf} is not finite"
    return results


def check_same(first: runner.Leaves, second: runner.Leaves, name: str) -> None:
    assert list(first) == list(second), name
    assert all(torch.equal(value, second[leaf]) for leaf, value in first.items()), name


@contextlib.contextmanager
def interrupted(batches: int):
    """While inside, somebody stops a training after so many batches."""
    asked = []

    def stopped() -> bool:
        asked.append(None)
        return len(asked) >= batches

    with mock.patch.object(console, "interruptible", return_value=contextlib.nullcontext(stopped)):
        yield


def keep(source: Path, target: Path) -> None:
    """Copy what a folder's network needs: its settings and the last checkpoint, but no figures."""
    for path in source.rglob("*"):
        name = path.relative_to(source)
        tensors = path.suffix == ".safetensors" and name.name.startswith("tensors-")
        newest = tensors and path.name in (path.parent / "checkpoint.json").read_text()
        if name.name in KEPT or newest:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / name)


def save_format_1() -> Goldens:
    """Interrupted runs, a stopped stream and saved learners, and what they went on to."""
    expected = {}
    for name in folders.RUNS:
        assert folders.train(name) == 0
        whole = folders.learned_of(Path(name))
        shutil.rmtree(name)
        with interrupted(folders.STOPPED_AFTER[name]):
            assert folders.train(name) == gemsnn.errors.INTERRUPTED
        keep(Path(name), folders.FOLDER / name)
        expected[f"{name}/answers"] = folders.answers_of(Path(name))
        if name == folders.STREAM_MODEL:
            expected["stream"] = save_stream()
        assert folders.resume(name) == 0
        expected[f"{name}/resumed"] = folders.learned_of(Path(name))
        check_same(whole, expected[f"{name}/resumed"], name)
    (folders.FOLDER / "online").mkdir()
    for name, (case, kernel) in folders.online_files().items():
        learner = runner.online_learner(case, kernel)
        runner.heard_online(case, learner, range(folders.ONLINE_CHUNKS))
        saved = {leaf: value.contiguous() for leaf, value in learner.state().items()}
        save_file(saved, folders.FOLDER / "online" / f"{name}.safetensors")
        expected[f"online/{name}"] = runner.heard_online(
            case, learner, range(folders.ONLINE_CHUNKS, len(case.chunks))
        )
        check_same(folders.gone_on(case, kernel, saved), expected[f"online/{name}"], name)
    return Goldens.of(expected, NOTE)


def save_stream() -> runner.Leaves:
    """A stream that was stopped, and what it says and has learned when it goes on."""
    assert folders.stream("--bins", str(folders.STREAM_BINS)) == 0
    keep(Path("stream"), folders.FOLDER / "stream")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert folders.stream() == 0
    return folders.streamed(Path("stream"), out.getvalue())


if __name__ == "__main__":
    torch.set_num_threads(runner.THREADS)
    first, second = made(), made()
    for name, result in first.items():
        check_same(result, second[name], name)
    Goldens.of(first, NOTE).save(PATH)
    shutil.rmtree(folders.FOLDER, ignore_errors=True)
    folder, here = Path(tempfile.gettempdir()) / "gemsnn-golden", Path.cwd()
    folder.mkdir()
    os.chdir(folder)
    folders.write_recordings(folder)
    machine = f"{platform.system()}-{platform.machine()}"  # whose system's release is nobody's business
    with mock.patch.object(platform, "platform", return_value=machine):
        goldens = save_format_1()
    os.chdir(here)
    shutil.rmtree(folder)
    goldens.save(EXPECTED)
    print(f"{len(first)} results, {PATH.stat().st_size} bytes", file=sys.stderr)
