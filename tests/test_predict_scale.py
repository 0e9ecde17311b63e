"""gemsnn predict in shards: by how many processes and in which pieces does not matter, nor when it is killed."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from event_files import nmnist, random_events
from test_children import runs, soon

import gemsnn
from gemsnn.commands.cli import main
from gemsnn.data import folders, listing
from gemsnn.data.listing import listed
from gemsnn.data.readers.hdf5_spikes import open_spikes
from gemsnn.runs import certificate, choosing, shards
from gemsnn.scoring.promise import Asked
from gemsnn.store import tables
from gemsnn.store.files import locked

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def folder(tmp_path):
    """Ten recordings, one of them damaged, in two folders; and what lies beside them."""
    root = tmp_path / "recordings"
    for number in range(10):
        path = root / "ab"[number % 2] / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(nmnist(random_events(np.random.default_rng(number), 300, 34, 300_000)))
    (root / "a" / "4.bin").write_bytes(b"")
    (root / "notes.md").write_text("a hand-held camera\n")
    return root


NAMES = ["a/0.bin", "a/2.bin", "a/4.bin", "a/6.bin", "a/8.bin", *(f"b/{n}.bin" for n in (1, 3, 5, 7, 9))]


def words(run: Path, recordings: Path, out: Path, *more: str) -> list[str]:
    return ["predict", str(run), str(recordings), "--votes", "3", "--out", str(out), *more]


@pytest.fixture
def whole(trained_run, folder, tmp_path):
    """The answers, by this process, all at once."""
    out = tmp_path / "whole.csv"
    assert main(words(trained_run, folder, out)) == 0
    return out.read_bytes()


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(content.decode().splitlines()))


def test_rows_stand_in_order_with_what_could_not_be_read(whole, trained_run, folder, capsys):
    found = rows(whole)
    assert [row["recording"] for row in found] == NAMES
    assert [bool(row["error"]) for row in found] == [name == "a/4.bin" for name in NAMES]
    assert len({row["entropy"] for row in found}) > 2
    assert main(["predict", str(trained_run), str(folder), "--votes", "3"]) == 0
    assert rows(capsys.readouterr().out.encode()) == found


@pytest.mark.parametrize(("workers", "shard"), [(None, 1), (None, 4), (1, 3), (2, 4), (4, 1)])
def test_neither_processes_nor_shards_matter(workers, shard, whole, trained_run, folder, tmp_path):
    out = tmp_path / "answers.csv"
    more = ["--shard", str(shard)] + ([] if workers is None else ["--workers", str(workers)])
    assert main(words(trained_run, folder, out, *more)) == 0
    assert out.read_bytes() == whole
    assert not shards.folder_of(out).exists()


def forked(
    given: list[str], *, at: int | None = None, after: bool = False, log: Path | None = None
) -> int | None:
    """A command in a process that is killed before, or after, so many files are in their places; ``None`` then."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    put, done, count = Path.replace, shards._content, 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = put(self, target)
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    def content(*given):
        if log is not None:
            with log.open("a") as file:
                file.write(f"{given[-1].first}\n")
        return done(*given)

    code = 1
    try:
        Path.replace, shards._content = replace, content
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        code = main(given)
    finally:
        os._exit(code)


FILES = 7
"""Put in their places: the listing, the settings, three parts, what the table holds, the table."""


@forks
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_file_loses_no_row_and_doubles_none(after, whole, trained_run, folder, tmp_path):
    """The table lies among the recordings, which it does not change."""
    for at in range(1, FILES + 1):
        out, log = folder / f"{at}.csv", tmp_path / f"log-{at}"
        given = words(trained_run, folder, out, "--shard", "4")
        assert forked(given, at=at, after=after, log=log) is None
        parts = {int(part.stem[5:]) for part in shards.folder_of(out).glob("part-*")}
        assert len(parts) == min(3, max(0, at - 3 + after))
        before = set(map(int, log.read_text().split())) if log.exists() else set()
        log.unlink(missing_ok=True)
        assert forked(given, log=log) == 0
        again = list(map(int, log.read_text().split())) if log.exists() else []
        assert again == [first for first in (0, 4, 8) if first not in parts]
        assert before >= parts
        assert out.read_bytes() == whole
        assert not shards.folder_of(out).exists()
        out.unlink()
    assert forked(words(trained_run, folder, tmp_path / "x.csv", "--shard", "4"), at=FILES + 1) == 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find processes")
def test_processes_end_with_the_command_that_is_killed(trained_run, tmp_path):
    root, out = tmp_path / "recordings", tmp_path / "answers.csv"
    root.mkdir()
    for number in range(400):
        content = nmnist(random_events(np.random.default_rng(number % 7), 300, 34, 300_000))
        (root / f"{number}.bin").write_bytes(content)
    given = words(trained_run, root, out, "--shard", "2")
    command = subprocess.Popen(
        [sys.executable, "-m", "gemsnn", *given, "--workers", "2"], stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    parts = shards.folder_of(out)
    try:
        assert soon(lambda: any(parts.glob("part-*")), 500)
        children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
        assert len(children) == 2
    finally:
        command.kill()
        assert command.wait(60) == -signal.SIGKILL
    assert soon(lambda: not any(map(runs, map(int, children))))
    assert 0 < len(list(parts.glob("part-*"))) < 200
    assert main(given) == 0
    alone = tmp_path / "alone.csv"
    assert main(words(trained_run, root, alone)) == 0
    assert out.read_bytes() == alone.read_bytes()
    assert [row["recording"] for row in rows(out.read_bytes())] == [f"{n}.bin" for n in range(400)]


@forks
def test_other_settings_do_not_go_on(trained_run, folder, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    given = words(trained_run, folder, out, "--shard", "4")
    assert forked(given, at=3, after=True) is None
    (part,) = shards.folder_of(out).glob("part-*")
    kept = part.read_bytes()
    for more, message in (
        (["--seed", "5"], "of seed 0, and this command asks for 5"),
        (["--decoder", "rates"], "of decoder votes, and this command asks for rates"),
        (["--until", "0.1"], "of until None, and this command asks for 0.1"),
    ):
        assert main([*given, *more]) == 2
        assert message in capsys.readouterr().err
    assert main(words(trained_run, folder, out, "--shard", "5")) == 2
    assert "of shard 4, and this command asks for 5" in capsys.readouterr().err
    other = tmp_path / "other"
    shutil.copytree(trained_run, other)
    model = gemsnn.load(other)
    model.save(tmp_path / "model.safetensors")
    assert main(words(tmp_path / "model.safetensors", folder, out, "--shard", "4")) == 2
    assert "of another run" in capsys.readouterr().err
    (folder / "a" / "4.bin").write_bytes(b"0" * 5)
    assert main(given) == 2
    assert "of other recordings, or of some that have changed since" in capsys.readouterr().err
    (folder / "a" / "4.bin").write_bytes(b"")
    with locked(shards.folder_of(out)):
        assert main(given) == 2
    assert "is in use by another process" in capsys.readouterr().err
    assert part.read_bytes() == kept
    assert main(given) == 0
    assert "going on: 1 of 3 shards are answered already" in capsys.readouterr().err


def test_what_was_never_begun_leaves_nothing(trained_run, folder, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    for given, message in (
        (words(trained_run, folder, out, "--until", "2"), "risk"),
        (words(trained_run, tmp_path / "nowhere", out), "there is no such file or folder"),
        (words(trained_run, folder, out, "--shard", "0"), "shard"),
        (words(trained_run, folder, out, "--workers", "0"), "workers"),
    ):
        assert main(given) == 2
        assert message in capsys.readouterr().err
        assert not shards.folder_of(out).exists()
    shards.folder_of(out).mkdir()
    (shards.folder_of(out) / "mine").write_text("x")
    assert main(words(trained_run, folder, out)) == 2
    assert "holds something else than answers" in capsys.readouterr().err
    assert (shards.folder_of(out) / "mine").exists()


@forks
def test_a_part_that_lost_rows_is_noticed(trained_run, folder, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    given = words(trained_run, folder, out, "--shard", "4")
    assert forked(given, at=4, after=True) is None
    part = max(shards.folder_of(out).glob("part-*"))
    part.write_bytes(part.read_bytes().splitlines(keepends=True)[0])
    assert main(given) == 2
    assert "holds 7 answers to 10 recordings" in capsys.readouterr().err
    assert not out.exists()


def test_a_list_of_files_in_its_own_order(whole, trained_run, folder, tmp_path, capsys):
    names = ["b/3.bin", "a/4.bin", "gone.bin", "a/0.bin"]
    (folder / "some.txt").write_text("\n".join(names[:2]) + "\n\n" + "\n".join(names[2:]))
    out = tmp_path / "answers.csv"
    assert main(words(trained_run, folder / "some.txt", out, "--listed")) == 0
    found = rows(out.read_bytes())
    assert [row["recording"] for row in found] == names
    assert "there is no such file" in found[2]["error"]
    assert "2 of 4 recordings could not be answered" in capsys.readouterr().err
    (folder / "some.txt").write_text("\n".join(NAMES))
    assert main(words(trained_run, folder / "some.txt", tmp_path / "all.csv", "--listed")) == 0
    assert (tmp_path / "all.csv").read_bytes() == whole
    for path, message in (
        (folder, "no such file, which should list"),
        (folder / "a" / "4.bin", "lists no file"),
    ):
        assert main(words(trained_run, path, tmp_path / "none.csv", "--listed")) == 2
        assert message in capsys.readouterr().err


def test_parquet_holds_what_csv_does(trained_run, folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    model = gemsnn.load(run)
    made = certificate.certified(
        model, choosing.choose(model, run, "train").part, Asked(0.4, checkpoints=3), 3
    )
    certificate.save(run, made)
    given = ["predict", str(run), str(folder), "--certified", "--shard", "4", "--out"]
    for name in ("answers.csv", "answers.parquet"):
        assert main([*given, str(tmp_path / name)]) == 0
    wanted = rows((tmp_path / "answers.csv").read_bytes())
    table = parquet.read_table(tmp_path / "answers.parquet")
    assert table.column_names == list(wanted[0])
    assert parquet.ParquetFile(tmp_path / "answers.parquet").num_row_groups == 3
    for row, text in zip(table.to_pylist(), wanted, strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                assert value == float(text[name])
            else:
                assert text[name] == ("|".join(value) if isinstance(value, list) else value or "")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_hold_what_they_are_given(suffix, tmp_path):
    """Names with commas, quotes and line ends, or that are no UTF-8; sets of several classes, and none."""
    columns: dict[str, tables.Kind] = {
        "recording": "text", "set": "texts", "p": "number", "asked": "whole", "error": "text"
    }  # fmt: skip
    given: list[tables.Row] = [
        {"recording": 'a,"b"\n.bin', "set": ("x", "y"), "p": 0.1 + 0.2, "asked": 3},
        {"recording": "\udcff.bin", "set": (), "p": 1e-17, "asked": 2**40},
        {"recording": "é.bin", "error": "it is damaged"},
    ]
    if suffix == "parquet":
        pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    table = tables.table_for(tmp_path / f"x.{suffix}", columns)
    parts = [tmp_path / str(n) for n in range(2)]
    for part, some in zip(parts, (given[:2], given[2:]), strict=True):
        part.write_bytes(table.part(some))
    with (tmp_path / "whole").open("wb") as out:
        assert table.join(parts, out) == tables.Tally(3, 1, "it is damaged")
    names = [row["recording"].encode("utf-8", "backslashreplace").decode() for row in given]
    if suffix == "csv":
        with (tmp_path / "whole").open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
        assert [row["recording"] for row in found] == names
        assert [row["set"] for row in found] == ["x|y", "", ""]
        assert [row["p"] and float(row["p"]) for row in found] == [0.1 + 0.2, 1e-17, ""]
        assert [row["asked"] for row in found] == ["3", str(2**40), ""]
        return
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(tmp_path / "whole").to_pydict()
    assert found == {
        "recording": names, "set": [["x", "y"], [], None], "p": [0.1 + 0.2, 1e-17, None], "asked": [3, 2**40, None],
        "error": [None, None, "it is damaged"],
    }  # fmt: skip


@forks
def test_a_damaged_part_of_parquet_is_told(trained_run, folder, tmp_path, capsys):
    pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    out = tmp_path / "answers.parquet"
    given = words(trained_run, folder, out, "--shard", "4")
    assert forked(given, at=4, after=True) is None
    part = max(shards.folder_of(out).glob("part-*"))
    part.write_bytes(part.read_bytes()[:100])
    assert main(given) == 2
    assert f"{part} is damaged" in capsys.readouterr().err
    part.unlink()
    assert main(given) == 0


def test_without_pyarrow_parquet_is_refused(trained_run, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(words(trained_run, folder, tmp_path / "answers.parquet")) == 2
    assert "pip install 'gemsnn[parquet]'" in capsys.readouterr().err
    assert list(tmp_path.glob(".answers*")) == []


def test_files_of_many_recordings(tmp_path):
    """As SHD's are, beside others, with labels or without."""
    draw = np.random.default_rng(0)
    for name, labelled in (("train.h5", True), ("new/more.h5", False)):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for part, kind in (("times", "f4"), ("units", "u2")):
                file.create_dataset(f"spikes/{part}", (20,), h5py.vlen_dtype(np.dtype(kind)))
            for n in range(20):
                file["spikes/times"][n] = np.sort(0.5 * draw.random(80)).astype("f4")
                file["spikes/units"][n] = (10 * (n % 2) + draw.integers(0, 10, 80)).astype("u2")
            if labelled:
                file["labels"] = np.arange(20) % 2
    model = tmp_path / "model.safetensors"
    data = gemsnn.dataset("events", root=tmp_path / "set" / "train.h5")
    gemsnn.fit(data, hidden=[4], epochs=1, compartments=1, votes=3).save(model)
    out = tmp_path / "answers.csv"
    assert main(words(model, tmp_path / "set", out, "--shard", "7")) == 0
    found = rows(out.read_bytes())
    assert [row["recording"] for row in found] == [
        f"{name}:/spikes/{n}" for name in ("new/more.h5", "train.h5") for n in range(20)
    ]
    assert not any(row["error"] for row in found)
    with open_spikes(tmp_path / "set" / "train.h5") as held:
        known = list(held)
    wanted = gemsnn.predict(gemsnn.load(model), known, 3)
    alone = tmp_path / "alone.csv"
    assert main(words(model, tmp_path / "set" / "train.h5", alone)) == 0
    assert [float(row["entropy"]) for row in rows(alone.read_bytes())] == wanted.entropy.tolist()


def test_a_listing_is_sorted_as_all_at_once(tmp_path, monkeypatch):
    draw, root = np.random.default_rng(1), tmp_path / "root"
    for number in draw.permutation(60).tolist():
        path = root / ["x", "x y", "X/10", "x/9", ""][number % 5] / f"n{number}é\n.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    wanted = [str(path.relative_to(root)) for path in folders.event_files(root)[0]]
    for run, block in ((7, 50), (1000, 2**13)):
        monkeypatch.setattr(listing, "RUN", run)
        monkeypatch.setattr(listing, "_BLOCK", block)
        found = listed(root, tmp_path / "lines", 9)
        assert [each.number for each in found.stretches] == [9] * 6 + [6]
        names = [name for each in found.stretches for name, _ in listing.recordings(found, each, None, 1)]
        assert names == wanted
    before = found.digest
    (root / wanted[5]).write_bytes(b"123451234512345")
    assert listed(root, tmp_path / "lines", 9).digest != before


def test_a_listing_takes_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "RUN", 1000)
    monkeypatch.setattr(listing, "_BLOCK", 256)
    peaks = []
    for count in (2_000, 20_000):
        names = (listing._Line(f"{n * 7919 % count:06d}.bin", 100, False) for n in range(count))
        with (tmp_path / "runs").open("w+b") as runs:
            tracemalloc.start()
            found = listing._written(listing._in_order(names, runs), tmp_path, tmp_path / "lines", 1000)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert found.number == count
    assert peaks[1] < 1.5 * peaks[0]
    lines = (tmp_path / "lines").read_text().splitlines()
    assert lines == sorted(lines)
