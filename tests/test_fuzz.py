"""A few hundred damaged inputs for every reader; ``make fuzz`` runs a million. Then single hostile files, by name."""

import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from event_files import aedat2, dvs_name, nmnist, nmnist_folder, random_events, raw_aedat2
from fuzz import seeds, targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from synthetic_run import write_run

import gemsnn
from gemsnn.commands import cli
from gemsnn.commands.cli import main
from gemsnn.data.events import make_events
from gemsnn.data.images import load_images
from gemsnn.data.readers import describe, read_aedat2, read_nmnist
from gemsnn.data.readers import mnist_dvs as zips
from gemsnn.data.readers.mnist_dvs import find_mnist_dvs, read_files
from gemsnn.data.recordings import load_hdf5
from gemsnn.errors import InputError, one_line
from gemsnn.report import read_run
from gemsnn.runs import config
from gemsnn.store.records import RunFolder

FEW = {
    "report": 4,
    "state": 60,
    "hdf5": 150,
    "zip": 200,
    "words": 200,
    "layouts": 100,
    "folder": 200,
    "faery": 200,
}
RAW = (
    "datagram",
    "line",
    "aedat2",
    "nmnist",
    "settings",
    "npz",
    "idx",
    "describe",
    "text",
    "raw",
    "npy-events",
)


@pytest.fixture(scope="module", autouse=True)
def memory_folder():
    yield
    targets.clear()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_damaged_inputs_are_read_or_refused_in_a_sentence(name):
    words = [targets.check(name, targets.make_input(name, 7, i)) for i in range(FEW.get(name, 400))]
    assert words.count(None) < len(words)  # some are refused ..
    # .. and a valid one is not; describe gets its inputs under any name
    assert name == "describe" or targets.check(name, targets.TARGETS[name].seeds()[0]) is None


@pytest.mark.parametrize("name", RAW)
def test_any_bytes_are_read_or_refused_in_a_sentence(name):
    starts = st.sampled_from([data[:n] for data in targets.TARGETS[name].seeds() for n in (0, 8, len(data))])

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(starts, st.binary(max_size=200))
    def run(start, rest):
        targets.check(name, start + rest)

    run()


def test_an_input_has_an_address():
    for name in targets.TARGETS:
        assert [targets.make_input(name, 3, i) for i in range(20)] == [
            targets.make_input(name, 3, i) for i in range(20)
        ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_the_runner_sees_crashes_hangs_deaths_and_allocations(tmp_path):
    """The runner itself, on targets that fail on purpose."""
    script = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
sys.argv = ["run.py", "--inputs", "40", "--keep", {str(tmp_path / "kept")!r}]
from fuzz import run, targets
def bad(data):
    if data[0] == 1: raise ValueError("a crash")
    if data[0] == 2: time.sleep(60)
    if data[0] == 3: os.abort()
    if data[0] == 4: bytearray(2**31)
def make_input(name, seed, index):
    return bytes([index if index < 5 else 0])
targets.TARGETS.clear()
targets.TARGETS["bad"] = targets.Target(bad, lambda: [b""], (), 1)
targets.make_input, run.TIME_LIMIT_S = make_input, 0.5
sys.exit(run.main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert re.search(r"^bad +40 +36 +0 +3 +1 ", done.stdout, re.MULTILINE), done.stdout
    for words in ("ValueError", "HANG", "SIGABRT", "MemoryError"):
        assert words in done.stdout
    assert len(list((tmp_path / "kept").glob("*.bin"))) == 4


@contextmanager
def memory_below(most: int) -> Iterator[None]:
    """What Python and numpy hold at once stays below so many bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


# -- refusals ----------------------------------------------------------------------------------------------


def test_a_refusal_is_one_printable_line():
    error = InputError("a\nb\x1b[31m\ud800 " + "x" * 5000 + " do this")
    assert str(error).isprintable()
    assert len(str(error)) < 1000
    assert str(error).startswith("a b?[31m? xxx")
    assert str(error).endswith("do this")
    assert one_line("as it is: 5 µs") == "as it is: 5 µs"


def test_nothing_in_the_library_can_unpickle():
    """But what numba has compiled, which it keeps as pickles in a folder of the user's own, and its own processes."""
    package = Path(gemsnn.__file__).parent
    ours = {package / "machine" / name for name in ("compiled.py", "workers.py")}
    for file in set(package.rglob("*.py")) - ours:
        text = file.read_text()
        assert not re.search(
            r"import pickle|cloudpickle|(?<!safetensors\.)torch\.load|joblib|allow_pickle=True", text
        ), file


# -- images ------------------------------------------------------------------------------------------------


def npz(path, images, labels=None):
    np.savez(path, images=images, labels=np.zeros(len(images), int) if labels is None else labels)
    return path


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.full((2, 3, 3), np.nan), "without NaN"),
        (np.full((2, 3, 3), np.inf), "without NaN"),
        (np.full((2, 3, 3), -0.1), "0 .. 1"),
        (np.full((2, 3, 3), -1), "0 .. 255"),
        (np.full((2, 3, 3), 256), "0 .. 255"),
        (np.zeros((2, 3)), "must have the shape"),
        (np.zeros((2, 3, 3, 3)), "shape"),
        (np.zeros((2, 0, 3)), "shape"),
        (np.array([[["a"]]]), "must be numbers"),
        (np.zeros((2, 3, 3), complex), "must be numbers"),
    ],
)
def test_images_that_are_none(tmp_path, images, words, capsys):
    path = npz(tmp_path / "x.npz", images)
    with pytest.raises(InputError, match=re.escape(words)):
        load_images(path)
    assert main(["info", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_label_asks_for_no_memory(tmp_path):
    for label, words in ((2**62, "too large"), (-1, "negative"), (2**64 - 1, "too large")):
        path = npz(tmp_path / "x.npz", np.zeros((1, 2, 2)), np.array([label]))
        with pytest.raises(InputError, match=words):
            load_images(path)


class Bomb:
    """What would run a command if it were unpickled."""

    def __reduce__(self):
        return os.system, ("touch unpickled",)


def test_pickles_in_npz_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = npz(tmp_path / "x.npz", np.array([[[Bomb()]]], dtype=object))
    with pytest.raises(InputError, match="holds Python objects"):
        load_images(path)
    content = io.BytesIO()
    np.lib.format.write_array(content, np.zeros((1, 1, 1), np.uint8))
    hidden = content.getvalue().replace(b"'|u1'", b"'|O' ")
    path.write_bytes(seeds.archive({"images.npy": hidden, "labels.npy": hidden}))
    with pytest.raises(InputError, match="holds Python objects"):
        load_images(path)
    assert not (tmp_path / "unpickled").exists()


def npy_claiming(shape, data=b""):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2**29, 28, 28), "announces"),
        ((-1, 28, 28), "impossible shape"),
        ((0, 2**62, 2**62), "too large"),
        ("(" * 5000, "damaged header"),
    ],
)
def test_npy_headers_that_lie(tmp_path, shape, words):
    path = tmp_path / "x.npz"
    content = npy_claiming(shape, bytes(1000))
    path.write_bytes(seeds.archive({"images.npy": content, "labels.npy": content}))
    with pytest.raises(InputError, match=words):
        load_images(path)


def test_an_npy_of_nothing_has_a_shape_too(tmp_path):
    content = npy_claiming((2**62, 2**62)).replace(b"'|u1'", b"'|V0'")
    path = tmp_path / "x.npz"
    path.write_bytes(seeds.archive({"images.npy": content, "labels.npy": content}))
    with pytest.raises(InputError, match="too large"):
        load_images(path)


def test_an_npz_bomb_is_refused_before_it_unpacks(tmp_path):
    path, size = tmp_path / "x.npz", 2**30 + 1
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        with file.open("images.npy", "w", force_zip64=True) as member:
            member.write(npy_claiming((size, 1, 1)))
            for start in range(0, size, 2**24):
                member.write(bytes(min(2**24, size - start)))
        file.writestr("labels.npy", npy_claiming((0,)))
    with memory_below(2**24), pytest.raises(InputError, match="too large"):
        load_images(path)


def test_idx_that_claims_or_unpacks_too_much(tmp_path):
    path = tmp_path / "x-images-idx3-ubyte.gz"
    (tmp_path / "x-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 1) + b"\0")
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 1, 2, 2) + bytes(2**24)))
    with memory_below(2**23):
        with pytest.raises(InputError, match="holds more"):
            load_images(path)
        path.write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", *[2**32 - 1] * 3) + bytes(9)))
        with pytest.raises(InputError, match="announces"):
            load_images(path)


# -- zips --------------------------------------------------------------------------------------------------


def test_a_zip_bomb_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "grabbed_data0.zip"
    path.write_bytes(seeds.archive({dvs_name(0, 1): seeds.aedat2_files()[0] + bytes(zips.LARGEST_MEMBER)}))
    with pytest.raises(InputError, match="unpacks to more than 64 MiB"):
        describe(path)
    # no member is too large by itself, but together they are more than the zip can honestly hold
    monkeypatch.setattr(zips, "LARGEST_MEMBER", 2**20)
    many = {dvs_name(0, n): seeds.aedat2_files()[0] + bytes(2**19) for n in range(1, 9)}
    path.write_bytes(seeds.archive(many))
    with pytest.raises(InputError, match="holds no recordings"):
        list(read_files(find_mnist_dvs(path)))


@pytest.mark.parametrize("place", ["../../", "/etc/", "grabbed_data0/../../../"])
def test_names_in_a_zip_are_never_paths(tmp_path, place):
    """A member is read in memory, whatever its name; nothing is written, inside the folder or out of it."""
    path = tmp_path / "inner" / "x.zip"
    path.parent.mkdir()
    path.write_bytes(seeds.archive({place + dvs_name(3, 1): seeds.aedat2_files()[0]}))
    before = sorted(tmp_path.rglob("*"))
    assert describe(path)["recordings"] == 1
    assert sorted(tmp_path.rglob("*")) == before
    path.write_bytes(seeds.archive({f"{place}x\n\x1b{dvs_name(3, 1)}": b"", dvs_name(3, 2): b"?"}))
    with pytest.raises(InputError, match=r"mnist_3_scale04_0002.*not an AEDAT 2.0 file"):
        describe(path)


# -- events ------------------------------------------------------------------------------------------------


def test_events_outside_the_sensor(tmp_path, capsys):
    address = np.array([0, 1 << 16])
    with pytest.raises(InputError, match="addresses above 16 bits"):
        read_aedat2(raw_aedat2(address, np.arange(2)), "x")
    with pytest.raises(InputError, match=r"\(34, 0\) lie outside N-MNIST's 34 x 34"):
        read_nmnist(bytes([34, 0, 0, 0, 0]), "x")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["train/0"], file["train/labels"] = np.array([[0, 128, 0, 1]]), np.array([0])
    assert main(["info", str(tmp_path / "x.h5")]) == 2
    assert "lie outside 128 x 128" in capsys.readouterr().err


def test_times_that_go_back_are_mended_and_shown(tmp_path, capsys):
    events = random_events(np.random.default_rng(0), 9, 34, 300_000)
    t = np.array([50, 60, 70, 40, 50, 60, 70, 80, 90])
    back = make_events(t, events["x"], events["y"], events["on"])
    (tmp_path / "x.bin").write_bytes(nmnist(back))
    (tmp_path / "x.aedat").write_bytes(aedat2(back))
    for name, repair in (
        ("x.bin", "repairs: events out of order 1"),
        ("x.aedat", "repairs: timestamp resets 1"),
    ):
        assert main(["info", str(tmp_path / name)]) == 0
        assert repair in capsys.readouterr().out
    columns = np.stack([t, events["x"] % 26, events["y"] % 26, events["on"]], axis=1)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["train/0"], file["train/1"], file["train/labels"] = columns, columns, np.array([0, 1])
    assert main(["info", str(tmp_path / "x.h5")]) == 0
    assert "repairs: events out of order 2" in capsys.readouterr().out
    notes = load_hdf5(tmp_path / "x.h5").notes
    assert "Recordings were mended while they were read: 2 events out of order." in notes


def hdf5(path, make):
    with h5py.File(path, "w") as file:
        file["train/labels"] = np.array([0])
        make(file)
    return path


def _virtual(file):
    layout = h5py.VirtualLayout((4, 4), "i8")
    layout[:] = h5py.VirtualSource("secret.h5", "x", (4, 4))
    file.create_virtual_dataset("train/0", layout)


def _link_through_a_link(file):
    file["elsewhere"] = h5py.ExternalLink("secret.h5", "/")
    file["train/0"] = h5py.SoftLink("/elsewhere/x")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda f: f.create_dataset("train/0", (4, 4), "i8", external=[("secret", 0, 128)]),
            "from other files",
        ),
        (_virtual, "from other files"),
        (lambda f: f.__setitem__("train/0", h5py.ExternalLink("secret.h5", "x")), "holds links"),
        (
            lambda f: f.create_dataset("train/0", (10**6, 4), "i8", maxshape=(None, 4)),
            "claims 4000000 numbers",
        ),
        (_link_through_a_link, "holds links"),
        (lambda f: f.create_dataset("train/0", (2**50, 4), "i8", maxshape=(None, 4)), "events"),
        (lambda f: f.__setitem__("train/0", np.full((1, 4), 2**63, "u8")), "beyond 63 bits"),
    ],
)
def test_hdf5_that_reaches_out_or_claims_too_much(tmp_path, make, words):
    (tmp_path / "secret").write_bytes(bytes(128))
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["x"] = np.zeros((4, 4), "i8")
    path = hdf5(tmp_path / "x.h5", make)
    with memory_below(2**23), pytest.raises(InputError, match=words):
        describe(path)


# -- settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[optimiser]\nlr = nan", "lr must be a finite number"),
        ("[optimiser]\nlr = inf", "lr must be a finite number"),
        ("[optimiser]\nepsilon = nan", "epsilon must be"),
        ("[optimiser]\nbeta1 = nan", "beta1 must be a finite number"),
        ("[rule]\nkappa = nan", "kappa must be a finite number"),
        ("[rule]\nsparsity = nan", "sparsity must"),
        ("[network]\nhidden_rate = nan", "hidden_rate must"),
        ("[network]\nweight_scale = inf", "weight_scale must"),
        ("[network]\nmemory = 1000000000", "shorten the memory"),
        ("[network]\nhidden = [1000000000]", "make it smaller"),
        ("[data]\nwarm_up = nan", "warm_up must"),
        ("[data]\nvalidation = nan", "validation must"),
        ("[data]\nroot = 3", "Expected a path"),
        ('[data]\nroot = "a\\u0000b"', "Expected a path"),
        ("[train]\nseed = 9223372036854775808", "beyond 64 bits"),
        ("[train]\nseed = " + "9" * 5000, "not valid TOML"),
        ("[train]\ncompartments = 9223372036854775807", "compartments must be"),
        ("a = " + "[" * 4000, "nested too deeply"),
        ("a = " + "{a=" * 2000, "nested too deeply"),
        (".".join("a" * 4000) + " = 1", "more than 50 levels"),
        (".".join("a" * 5000) + " = 1", "no settings file"),
        ("#" * 100 + "\n" + "# x\n" * 20_000, "no settings file"),
        ("x" * 3000 + " = 1", "unknown table"),
    ],
)
def test_hostile_settings(tmp_path, text, words, capsys):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        config.load(path)
    assert main(["train", "--config", str(path), "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_bins_of_no_sensible_size_are_refused():
    with pytest.raises(InputError, match="bin_us must be at least 1"):
        config.parse("[data]\nbin_us = 0", "x")


# -- folders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "folder", "under a file", "under proc"])
def test_out_that_cannot_be(tmp_path, kind, capsys):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("kept")
    out = {"under a file": tmp_path / "file" / "x", "under proc": Path("/proc/x")}.get(kind, tmp_path / kind)
    if kind == "under proc" and not out.parent.is_dir():
        pytest.skip("needs a folder in which nobody can write")
    few = ["--epochs", "1", "--hidden", "1", "--data", "nmnist", "--root", str(tmp_path / "nothing")]
    assert main(["train", "--out", str(out), *few]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(InputError, match="another --out"):
        RunFolder.create(out)
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "x").read_text() == "kept"


# -- run folders -------------------------------------------------------------------------------------------


@pytest.fixture
def model_run(tmp_path):
    """A run folder that can be evaluated, and resumed."""
    run = tmp_path / "run"
    (run / "checkpoint").mkdir(parents=True)
    for name, content in zip(targets.MODEL, seeds.unbundle(seeds.model_files()[0], 4), strict=True):
        (run / name).write_bytes(content)
    return run


def reseal(run, change_tensors=lambda _: None, **facts):
    """Change a checkpoint and make its digests fit."""
    loaded, old = RunFolder.open(run).load_checkpoint()
    change_tensors(loaded)
    content = save({key: tensor.contiguous() for key, tensor in loaded.items()})
    (run / "checkpoint" / "tensors.safetensors").write_bytes(content)
    (run / "checkpoint" / "checkpoint.json").write_bytes(seeds.sealed(old | facts, content))


def evaluate(run, capsys) -> str:
    """What ``gemsnn evaluate`` says of a run that it must refuse."""
    assert main(["evaluate", str(run)]) == 2
    lines = capsys.readouterr().err.splitlines()  # progress may stand before the refusal
    assert [line.startswith("gemsnn: ") for line in lines].count(True) == 1
    assert lines[-1].startswith("gemsnn: ")
    return lines[-1]


WEIGHT, BIAS = "params.weights.inputs->hidden1", "params.bias.hidden1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.update({WEIGHT: t[WEIGHT][:, :-1]}), "parameter weights.inputs->hidden1 is"),
        (
            lambda t: t.update({WEIGHT: t[WEIGHT].double()}),
            "parameter weights.inputs->hidden1 is torch.float64",
        ),
        (lambda t: t.update({BIAS: t[BIAS].long()}), "parameter bias.hidden1 is torch.int64"),
        (lambda t: t[BIAS].fill_(float("nan")), "is not finite"),
        (lambda t: t.pop(BIAS), "lacks some of the network's parameters"),
        (lambda t: t.pop("mask"), "lacks the mask"),
        (lambda t: t.update({"mask": t["mask"][0]}), "mask has the shape"),
        (lambda t: t.update({"mask": torch.ones(2, 2)}), "mask has the shape"),
    ],
)
def test_tensors_that_do_not_fit_their_network(model_run, change, words, capsys):
    reseal(model_run, change)
    assert words in evaluate(model_run, capsys)


@pytest.mark.parametrize("fact", [{"batches": "x"}, {"batches": -1}, {"updates": None}, {"window": [{}]}])
def test_facts_that_are_none(model_run, fact, capsys):
    reseal(model_run, **fact)
    assert "facts are damaged" in evaluate(model_run, capsys)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("manifest.json", "[]", "holds what it should not"),
        ("manifest.json", "{}", "the layout in"),
        ("manifest.json", '{"layout": {"channels": 1e9}}', "the layout in"),
        ("manifest.json", "[" * 100_000, "nested too deeply"),
        ("manifest.json", '{"a": ' + "[" * 200 + "]" * 200 + "}", "more than 50 levels"),
        ("manifest.json", '{"a": ' + "9" * 30 + "}", "beyond 64 bits"),
        ("manifest.json", '{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ("manifest.json", '{"a": "\\ud800"}', "half a character"),
        ("manifest.json", b"\xff", "not UTF-8"),
        ("checkpoint/checkpoint.json", "[]", "holds what it should not"),
        ("checkpoint/checkpoint.json", "[" * 100_000, "nested too deeply"),
        ("config.toml", "[network]\nhidden = [9]", "mask has the shape"),
        ("config.toml", "[[network]]", "must be a table"),
    ],
)
def test_a_damaged_run_is_not_evaluated(model_run, name, content, words, capsys):
    (model_run / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert words in evaluate(model_run, capsys)


def test_a_layout_of_absurd_size_asks_for_no_memory(model_run, capsys):
    layout = dict.fromkeys(("channels", "height", "width", "classes", "bin_us"), 2**15)
    (model_run / "manifest.json").write_text(json.dumps({"layout": layout}))
    assert "inputs must be at least 1 and at most" in evaluate(model_run, capsys)


@pytest.mark.parametrize(
    "name", ["../../outside.safetensors", "/dev/zero", "..", "", "a\0b", "checkpoint.json"]
)
def test_a_checkpoint_reads_no_file_elsewhere(model_run, name, capsys):
    content = (model_run / "checkpoint" / "tensors.safetensors").read_bytes()
    (model_run.parent / "outside.safetensors").write_bytes(content)
    reseal(model_run, tensors=name)
    (model_run / "checkpoint" / "tensors.safetensors").unlink()
    assert "is missing" in evaluate(model_run, capsys) or name == "checkpoint.json"


def test_data_of_another_layout_is_not_evaluated(model_run, capsys):
    settings_file = model_run / "config.toml"
    text = settings_file.read_text().replace('data = "nmnist"\n', 'data = "nmnist"\nlimit = 8\n')
    nmnist_folder(
        model_run.parent / "data", [(digit, 10 * n + digit) for digit in range(2) for n in range(6)]
    )
    text = re.sub(r'root = ".*"', f"root = '{model_run.parent / 'data'}'", re.sub(r"limit = \d+\n", "", text))
    settings_file.write_text(text)
    assert "the recordings do not fit the network: they have channels 2 where" in evaluate(model_run, capsys)


@pytest.mark.parametrize(
    "problem", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_told_in_a_sentence(monkeypatch, problem, capsys):
    def dispatch(words):
        raise problem

    monkeypatch.setattr(cli, "_dispatch", dispatch)
    assert main(["info", "x"]) == 2
    assert (
        capsys.readouterr().err
        == "gemsnn: this needs more memory than there is; take fewer or smaller parts\n"
    )


@pytest.mark.parametrize("size", [-1, 10**12, "x", None, 1.5])
def test_metrics_are_not_cut_to_a_size_that_they_never_had(model_run, size):
    run = RunFolder.open(model_run)
    (model_run / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="3 bytes where the checkpoint tells of"):
        run.cut_metrics(size)
    assert (model_run / "metrics.jsonl").read_text() == "{}\n"


@pytest.mark.parametrize("manifest", [{}, {"status": "interrupted", "kernel": 3}])
def test_a_run_with_a_damaged_manifest_is_not_resumed(model_run, manifest, capsys):
    (model_run / "manifest.json").write_text(json.dumps(manifest))
    assert main(["train", "--resume", str(model_run)]) == 2
    assert "holds what it should not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("metrics.json", {"accuracy": 7}, "<= 1.0"),
        ("metrics.json", {"reliability": 3}, "Expected `array"),
        ("metrics.json", {"confusion": [["x"]]}, "Expected `float`"),
        ("manifest.json", {"notes": 3}, "Expected `array"),
        ("manifest.json", {"seconds": {"data": "x"}}, "Expected `float"),
    ],
)
def test_a_report_of_odd_values_is_refused(tmp_path, name, change, words):
    run = write_run(tmp_path / "run", compartments=3, presentations=20, updates=8)
    (run / name).write_text(json.dumps(json.loads((run / name).read_text()) | change))
    with pytest.raises(InputError, match=re.escape(words)):
        read_run(run)
