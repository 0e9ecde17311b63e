"""Rules from outside the package: given, found, checked, recorded, gone on with, and as exact as the package's own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import sys
from pathlib import Path

import pytest
import test_block_graph
import torch
from cases import make_network
from runs import command
from test_kernels import Case, make
from test_streams import run as streamed

from gemsnn import kernels
from gemsnn.commands.cli import main
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS, Learning, reference, threads
from gemsnn.kernels.cpu import course, runs
from gemsnn.kernels.cpu import kernel as cpu
from gemsnn.rules import importance, loading, ml, optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.contract import Rule, Signal
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.rules.own import Own
from gemsnn.runs import config, layers
from gemsnn.runs.config import Settings
from gemsnn.runs.loading import load_model
from gemsnn.store import trees
from gemsnn.store.records import RunFolder

pytestmark = pytest.mark.usefixtures("undrawn")


def sharp(log_weights):
    share = torch.softmax(2 * log_weights, -1)
    return share, share - 1 / share.shape[-1]


class Hop:
    needs = {"signal", "credit"}  # noqa: RUF012

    def signal(self, log_weights):
        return sharp(log_weights)


class Kept:
    """The rule ml as somebody might have written it."""

    needs = "synapse"

    def init(self, *given):
        return ml.init(*given)

    def advance(self, *given, **more):
        return ml.advance(*given, **more)


class Signals:
    """A signal of the package, as somebody else's."""

    def __init__(self, signal, needs=("signal",)):
        self._signal, self.needs = signal, needs

    def signal(self, log_weights):
        return self._signal(log_weights)


def learn(kernel, case, learning, dtype=torch.float64):
    network, params, batch = make(case, dtype)
    state = optimisers.init(learning.optimiser, params)
    return kernel.learn(network, params, state, learning, batch, seed=5, lr=0.05)


def assert_same(got, want, tolerance=1e-10):
    for a, b in zip(trees.leaves(got), trees.leaves(want), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


# -- kernels -----------------------------------------------------------------------------------------------

RULES = [
    RuleSpec(sharp),
    RuleSpec(sharp, kappa=0.5, gamma=0.0, readout="last-step"),
    RuleSpec(sharp, kappa=1.0, gamma=1.0, readout="last-step"),
    RuleSpec(sharp, kappa=0.8, gamma=0.6, average=True),
    RuleSpec(Hop(), gamma=0.7),
]
CASES = [
    Case(every=1),
    Case(every=3, topology="full"),
    Case(),
    Case(compartments=1, every=2),
    Case(topology="feedforward", every=4, output="winner-take-all"),
    Case(begin=5, every=3),
    Case(steps=(63,), hidden=(50,), visible=7, every=7),
    Case(hidden=(), every=1),
    Case(steps=tuple(range(1, 12)), every=5),  # more than one presentation in a part
]


@pytest.mark.parametrize("name", ["cpu", "block"])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.value.signal.__qualname__}-{r.gamma}-{r.readout}")
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_equal_the_reference(name, rule, optimiser, case):
    learning = Learning(rule, OptimiserSpec(optimiser, lr=0.05), case.compartments, case.every)
    assert KERNELS[name].refuses(make(case)[0], learning) is None
    got, want = (learn(kernel, case, learning) for kernel in (KERNELS[name], reference))
    assert torch.equal(got.hidden_rate, want.hidden_rate)
    assert_same(got.params, want.params)
    assert_same(got.optimiser, want.optimiser)
    assert_same((got.log_likelihood, got.log_weights), (want.log_likelihood, want.log_weights))


@pytest.mark.parametrize("name", ["cpu", "block"])
@pytest.mark.parametrize("rule", [RULES[0], RULES[-1]], ids=["sharp", "hop"])
@pytest.mark.parametrize("graph", ["conv", "readouts", "recurrent"])
@pytest.mark.parametrize("every", [None, 3, 1])
def test_graphs_too(name, rule, graph, every):
    network, params, batch = test_block_graph.make(test_block_graph.Case(graph))
    spec = OptimiserSpec("sgd", lr=0.05)
    learning = Learning(rule, spec, 3, every)
    if name == "cpu" and KERNELS[name].refuses(network, learning) is not None:
        assert KERNELS[name].refuses(network, Learning(RuleSpec(), spec, 3, every)) is not None
        pytest.skip("the kernel does not serve this graph under any rule")
    got, want = (
        kernel.learn(network, params, optimisers.init(spec, params), learning, batch, seed=5, lr=0.05)
        for kernel in (KERNELS[name], reference)
    )
    assert torch.equal(got.hidden_rate, want.hidden_rate)
    assert_same(got.params, want.params)


ABROAD = {
    "gem": Signals(importance.gem),
    "iw": Signals(importance.iw),
    "mb": Signals(importance.mb),
    "one-hop-gem": Signals(importance.gem_cv, ("signal", "credit")),
}
"""Rules of the package as somebody else's."""


@pytest.mark.parametrize("name", ABROAD)
@pytest.mark.parametrize("case", [Case(), Case(every=2, topology="full")], ids=str)
def test_a_rule_of_the_package_from_outside_is_the_same(name, case):
    """On cpu to rounding, since sums are made in another order; on the reference to the bit."""
    given = [RuleSpec(name), RuleSpec(ABROAD[name])]
    for kernel, tolerance in ((reference, 0.0), (cpu, 1e-10)):
        one, two = (
            learn(kernel, case, Learning(rule, OptimiserSpec("sgd", lr=0.05), case.compartments, case.every))
            for rule in given
        )
        assert_same(one.params, two.params, tolerance)


def test_a_rule_with_state_of_its_own():
    learning = [Learning(RuleSpec(rule, sparsity=0.1), OptimiserSpec("sgd"), 3, 2) for rule in ("ml", Kept())]
    one, two = (learn(reference, Case(), each) for each in learning)
    assert_same(one.params, two.params, 0.0)
    network, *_ = make(Case())
    for name in ("cpu", "block"):
        with pytest.raises(
            InputError, match=r"Kept keeps state of its own for every synapse .* use reference"
        ):
            kernels.choose(name, network, learning[1])
    assert kernels.choose("auto", network, learning[1])[0] == "reference"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("rule", [RuleSpec(sharp), RuleSpec(Hop())], ids=["sharp", "hop"])
def test_threads_do_not_matter(monkeypatch, workers, rule):
    """Two threads share a step of one part with many runs; where there are more parts, these run side by side."""
    monkeypatch.setattr(runs, "SHARED", 2)
    monkeypatch.setattr(threads, "workers", lambda: workers)
    for case in (Case((9,), every=4), Case((9, 5, 7))):
        learning = Learning(rule, OptimiserSpec("sgd", lr=0.05), 3, case.every)
        got, want = (learn(kernel, case, learning) for kernel in (cpu, reference))
        assert_same(got.params, want.params)


@pytest.mark.parametrize(("every", "calls"), [(None, 1), (4, 3), (1, 11)])
def test_cpu_asks_once_a_block_for_all_presentations(every, calls):
    asked = []

    def counting(log_weights):
        asked.append(tuple(log_weights.shape))
        return sharp(log_weights)

    learning = Learning(RuleSpec(counting), OptimiserSpec("sgd"), 3, every)
    asked.clear()
    learn(cpu, Case(), learning)
    assert len(asked) == calls
    assert sum(steps for steps, *_ in asked) == 11
    assert {rest for _, *rest in map(tuple, asked) for rest in [tuple(rest)]} == {(3, 3)}


@pytest.mark.parametrize("segment", [1, 6, 128])
@pytest.mark.parametrize("every", [1, 3, 9])
@pytest.mark.parametrize(
    "rule", [RuleSpec(sharp, gamma=0.5), RuleSpec(Hop(), gamma=0.1)], ids=["sharp", "hop"]
)
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_streams_equal_the_reference(monkeypatch, segment, every, rule, optimiser):
    monkeypatch.setattr(course, "SEGMENT", segment)
    network, params = make_network(5, (4,), 3, topology="full", taps=4, count=2)
    spec = OptimiserSpec(optimiser, lr=0.05)
    given = {
        "address": torch.tensor([4, 9]), "seed": 3, "learning": Learning(rule, spec, 3, every),
        "optimiser": optimisers.init(spec, params), "lr": 0.05,
    }  # fmt: skip
    assert kernels.choose_stream("auto", network, given["learning"])[0] == "cpu"
    got, want = (kind(network, params, 3, **given) for kind in (cpu.CpuStream, reference.ReferenceStream))
    for mine, theirs in zip(streamed(got), streamed(want), strict=True):
        assert torch.equal(mine.spikes, theirs.spikes)
    assert_same(got.params, want.params)
    # saved in the middle of whatever block, and gone on with
    again = cpu.CpuStream(network, params, 3, **given)
    again.restore(got.state())
    for one, other in zip(streamed(again), streamed(got), strict=True):
        assert torch.equal(one.spikes, other.spikes)
    assert_same(again.params, got.params, 0.0)


def test_single_precision_stays_single():
    learning = Learning(RuleSpec(sharp), OptimiserSpec("sgd", lr=0.05), 3, 4)
    for kernel in (cpu, KERNELS["block"], reference):
        assert {
            leaf.dtype for leaf in trees.leaves(learn(kernel, Case(), learning, torch.float32).params)
        } == {torch.float32}


# -- what is no rule ---------------------------------------------------------------------------------------


def flattened(log_weights):
    return torch.softmax(log_weights.flatten(), 0).reshape(log_weights.shape), log_weights


def in_place(log_weights):
    log_weights -= log_weights.max(-1, keepdim=True).values
    return sharp(log_weights)


def broken(log_weights):
    return log_weights.no_such_thing


def test_a_rule_that_needs_what_it_does_not_have():
    for needs, rule, words in (
        (("signal", "synapse"), Hop, "needs synapse and has no method init"),
        (("credit",), Hop, "needs credit, which a signal weighs"),
        (("signals",), Hop, "has needs signals; they must be some of signal, credit, synapse"),
        ((), Hop, "has needs of nothing"),
        ("signal", Kept, "needs signal and has no method signal"),
    ):
        made = type("Mine", (rule,), {"needs": needs})
        with pytest.raises(InputError, match=words):
            RuleSpec(made())


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda v: v, "fails for log-weights .*: ValueError"),
        (lambda v: (v[..., 0], v), r"gives float64 \[3, 2\] as the signal of visible neurons .* their shape and type"),
        (lambda v: (v, v.float()), r"gives float32 .* as the signal of hidden neurons for log-weights float64"),
        (lambda v: (v, 0), "gives 0 as the signal of hidden neurons"),
        (lambda v: (torch.softmax(v, 0), v), r"answers otherwise .* from its own row \[K\] alone"),
        (flattened, "answers otherwise"),
        (lambda v: (torch.rand_like(v), v), "answers otherwise"),
        (in_place, "changes the log-weights that it is given"),
        (broken, r"broken fails .* \(line \d+ of .*test_user_rules.py\): AttributeError"),
    ],
)  # fmt: skip
def test_signals_are_looked_at_once(rule, words):
    with pytest.raises(InputError, match=words) as found:
        Learning(RuleSpec(rule), OptimiserSpec(), 4)
    assert "test_user_rules:" in str(found.value)


def test_rules_as_settings():
    assert RuleSpec(importance.gem) != RuleSpec("gem")
    assert RuleSpec(sharp) == RuleSpec(sharp)
    assert RuleSpec(sharp) == RuleSpec(f"{__name__}:sharp")  # as far as the latter says
    assert RuleSpec(sharp) != RuleSpec(in_place)
    assert RuleSpec(sharp).name == f"{__name__}:sharp"
    assert RuleSpec(Rule("mine", frozenset({"signal"}), lambda v: Signal(*sharp(v)))).value.needs == {
        "signal"
    }
    with pytest.raises(InputError, match="needs readout every-step"):
        RuleSpec(Hop(), readout="last-step")
    with pytest.raises(InputError, match="sparsity belongs to the rule ml alone"):
        RuleSpec(sharp, sparsity=0.1)
    with pytest.raises(InputError, match="the nearest is 'gem-cv'"):
        RuleSpec("gem_cv")


# -- files -------------------------------------------------------------------------------------------------

FILE = '''"""A rule."""
import torch

def sharp(log_weights):
    share = torch.softmax(2 * log_weights, -1)
    return share, share - 1 / share.shape[-1]

class Hop:
    needs = {"signal", "credit"}

    def signal(self, log_weights):
        return sharp(log_weights)

number = 3
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with rules in ``mine.py``, in which commands are given; modules are forgotten afterwards."""
    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def leaves_of(run):
    return RunFolder(run).load_checkpoint()[0]


def same_weights(one, other):
    mine, theirs = leaves_of(one), leaves_of(other)
    assert mine.keys() == theirs.keys()
    return all(torch.equal(leaf, theirs[name]) for name, leaf in mine.items())


def few(root, out, *more):
    words = command(root, out, "--limit", "20", "--compartments", "3", *more)
    if "--config" in more:  # which has a rule
        place = words.index("--rule")
        del words[place : place + 2]
    return words


def test_the_same_rule_from_everywhere(here, nmnist_root):
    """A module, a file, a TOML file, Python: the same weights."""
    assert main(few(nmnist_root, "a", "--rule", "mine:sharp")) == 0
    (here / "folder").mkdir()
    (here / "folder" / "other.py").write_text(FILE)
    assert main(few(nmnist_root, "b", "--rule", "folder/other.py:sharp")) == 0
    Path("c.toml").write_text('[rule]\nrule = "mine:sharp"\n')
    assert main(few(nmnist_root, "c", "--config", "c.toml")) == 0
    settings = config.load("a/config.toml")
    given = layers.Layered(_with_rule(settings, RuleSpec(sharp)))
    from gemsnn.runs import training

    assert training.start_training(given, "d") == 0
    for other in "bcd":
        assert same_weights("a", other)
    assert main(few(nmnist_root, "e", "--rule", "gem-cv")) == 0
    assert not same_weights("a", "e")
    digest = hashlib.sha256(FILE.encode()).hexdigest()
    for run, place, file in (
        ("a", "mine:sharp", here / "mine.py"),
        ("b", f"{here}/folder/other.py:sharp", here / "folder" / "other.py"),
        ("c", "mine:sharp", here / "mine.py"),
    ):
        manifest = json.loads(Path(run, "manifest.json").read_text())
        assert manifest["rule"] == {"place": place, "file": str(file), "sha256": digest}
        assert f'rule = "{place}"' in Path(run, "config.toml").read_text()
    assert json.loads(Path("d/manifest.json").read_text())["rule"]["place"] == f"{__name__}:sharp"
    assert "rule" not in json.loads(Path("e/manifest.json").read_text())


def _with_rule(settings: Settings, rule: RuleSpec) -> Settings:
    return dataclasses.replace(settings, rule=rule)


def test_going_on_asks_for_the_rule_and_is_the_same_to_the_bit(here, nmnist_root, capsys):
    usual = ("--schedule", "constant", "--rule", "mine:Hop")
    assert main(few(nmnist_root, "whole", *usual, "--epochs", "3")) == 0
    assert main(few(nmnist_root, "part", *usual, "--epochs", "1")) == 0
    before = {path: path.read_bytes() for path in Path("part").rglob("*") if path.is_file()}
    capsys.readouterr()
    for words, said in (
        ((), "the rule mine:Hop is not part of gemsnn, .* import no code: .* give --rule mine:Hop again"),
        (("--rule", "mine:sharp"), "part was trained with the rule mine:Hop, .* as it began: give --rule mine:Hop"),
        (("--rule", "gem"), "part was trained with the rule mine:Hop"),
    ):  # fmt: skip
        assert main(["train", "--resume", "part", "--epochs", "3", *words]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert re.search(said, told)
    assert {path: path.read_bytes() for path in Path("part").rglob("*") if path.is_file()} == before
    assert main(["train", "--resume", "part", "--epochs", "3", "--rule", "mine:Hop"]) == 0
    assert "has changed" not in capsys.readouterr().err
    assert same_weights("whole", "part")
    # a new run from its weights may have another rule
    assert main(["train", "--from", "part", "--epochs", "1", "--out", "new"]) == 2
    assert main(["train", "--from", "part", "--epochs", "1", "--out", "new", "--rule", "gem"]) == 0


def test_a_changed_source_is_told(here, nmnist_root, capsys):
    assert main(few(nmnist_root, "run", "--rule", "mine.py:sharp", "--epochs", "1")) == 0
    (here / "mine.py").write_text(FILE.replace("2 *", "3 *"))
    assert main(["train", "--resume", "run", "--epochs", "2", "--rule", "mine.py:sharp"]) == 0
    said = f"the source of the rule {here}/mine.py:sharp has changed since the run began with it"
    assert said in capsys.readouterr().err
    assert any(said in note for note in json.loads(Path("run/manifest.json").read_text())["notes"])


def test_opening_imports_nothing(here, nmnist_root, monkeypatch, capsys):
    """Whatever is done with somebody else's run, short of naming its rule: a module that tells when it is imported."""
    (here / "spy.py").write_text(FILE + 'open("imported", "w").close()\n')
    assert main(few(nmnist_root, "run", "--rule", "spy:sharp", "--epochs", "1")) == 0
    Path("imported").unlink()
    del sys.modules["spy"]
    monkeypatch.syspath_prepend(str(here))  # where Python would find it
    events = next(Path(nmnist_root).rglob("*.bin"))
    stream = ["stream", "--model", "run", "--input", str(events), "--speed", "max"]
    assert main(["evaluate", "run", "--votes", "2"]) == 0
    assert main(["report", "run"]) == 0
    assert main(stream) == 0
    assert main(["train", "--resume", "run", "--epochs", "2"]) == 2
    assert main(["train", "--from", "run", "--out", "new"]) == 2
    assert main([*stream, "--learn"]) == 2
    assert "give --rule spy:sharp again" in capsys.readouterr().err.splitlines()[-1]
    model = load_model("run")
    settings = config.load("run/config.toml")
    assert isinstance(settings.rule.rule, Own)
    assert not settings.rule.known
    with pytest.raises(InputError, match="give --rule spy:sharp again"):
        _ = settings.learning
    assert config.load(_written(here, config.dump(settings))) == settings
    assert model.learner.batches > 0
    assert not Path("imported").exists()
    assert "spy" not in sys.modules
    assert main(["train", "--resume", "run", "--epochs", "2", "--rule", "spy:sharp"]) == 0
    assert Path("imported").exists()


def _written(folder, text):
    (folder / "again.toml").write_text(text)
    return folder / "again.toml"


def test_a_stream_learns_with_it_when_it_is_given_again(here, nmnist_root, capsys):
    assert main(few(nmnist_root, "run", "--rule", "mine:sharp", "--epochs", "1")) == 0
    events = next(Path(nmnist_root).rglob("*.bin"))
    Path("labels.txt").write_text("label,0,1\n")
    words = ["stream", "--model", "run", "--input", str(events), "--speed", "max", "--learn"]
    words += ["--labels", "labels.txt", "--rule"]
    capsys.readouterr()
    for other in ("mine:Hop", "gem"):
        assert main([*words, other]) == 2
        assert "the run has learned with the rule mine:sharp" in capsys.readouterr().err
    assert main([*words, "mine:sharp", "--state", "one"]) == 0
    assert main([*words, "mine:sharp", "--state", "two", "--bins", "20"]) == 0
    assert main([*words, "mine:sharp", "--state", "two"]) == 0
    one, two = (leaves_of(state) for state in ("one", "two"))
    assert all(torch.equal(leaf, two[name]) for name, leaf in one.items())
    learned = {name: leaf for name, leaf in leaves_of("run").items() if name.startswith("params.")}
    assert any(not torch.equal(leaf, one[name]) for name, leaf in learned.items())
    assert RunFolder(Path("one")).load_checkpoint()[1]["identity"]["learning"]["rule"]["rule"] == "mine:sharp"
    (here / "mine.py").write_text(FILE + "\n")
    del sys.modules["mine"]
    capsys.readouterr()
    assert main([*words, "mine:sharp", "--state", "three"]) == 0
    assert "the source of the rule mine:sharp has changed" in capsys.readouterr().err


def test_a_run_that_was_stopped_before_it_began(here, nmnist_root, monkeypatch, capsys):
    from gemsnn.runs import training

    monkeypatch.setattr(training, "_train_in", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(few(nmnist_root, "run", "--rule", "mine:sharp", "--epochs", "1")) == 130
    Path("run/manifest.json").unlink()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    capsys.readouterr()
    assert main(["train", "--resume", "run"]) == 2
    assert "give --rule mine:sharp again" in capsys.readouterr().err
    assert main(["train", "--resume", "run", "--rule", "mine:sharp"]) == 0


def test_a_sweep_takes_its_rule_along(here, nmnist_root, capsys):
    words = [
        "reproduce",
        "k-sweep",
        "--quick",
        "--data",
        "nmnist",
        "--root",
        str(nmnist_root),
        "--hidden",
        "3",
    ]
    more = ["--optimiser", "adam", "--rule", "mine:sharp", "--update-every", "presentation", "--out", "sweep"]
    assert main([*words, *more]) == 0
    assert 'rule = "mine:sharp"' in Path("sweep/settings.toml").read_text()
    capsys.readouterr()
    assert main([*words, *more]) == 0
    assert "4 of 4 parts are there already" in capsys.readouterr().err


REFUSED = [
    ("mine:sharpe", "mine has no 'sharpe'; did you mean sharp?"),
    ("mine:number", "the rule mine:number must be a function from log-weights"),
    ("min:sharp", "there is no module 'min' in this folder or on Python's path; did you mean mine?"),
    ("no_such_module_at_all:sharp", "there is no module 'no_such_module_at_all'"),
    ("mine.part:sharp", "there is no module 'mine.part'"),
    ("min.py:sharp", "min.py cannot be read (No such file or directory); did you mean mine.py?"),
    ("mine:", "the rule 'mine:' must be module:name or path/to/file.py:name"),
    (":sharp", "the rule ':sharp' must be module:name"),
    ("a b:sharp", "'a b' is no name of a module"),
    ("raises:rule", "raises cannot be imported (line 2 of {here}/raises.py): ZeroDivisionError"),
    ("raises.py:rule", "{here}/raises.py cannot be imported (line 2 of {here}/raises.py): ZeroDivisionError"),
    ("leaves:rule", "leaves cannot be imported (line 2 of {here}/leaves.py): SystemExit"),
    ("lacks:rule", "lacks cannot be imported (line 1 of {here}/lacks.py): ModuleNotFoundError"),
    ("grammar:rule", "grammar cannot be imported: SyntaxError"),
    ("needy:Needy", "the rule needy:Needy is a class that cannot be made without arguments (TypeError"),
    ("wrong:rule", "the rule wrong:rule gives float64 [3, 2, 1] as the signal of visible neurons"),
    ("gemm", "rule must be one of 'gem', 'gem-cv'"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "said"), REFUSED, ids=[place for place, _ in REFUSED])
def test_what_cannot_be_used_is_told_in_a_sentence(here, nmnist_root, place, said, capsys):
    (here / "raises.py").write_text("x = 0\ny = 1 / x\n")
    (here / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (here / "lacks.py").write_text("import no_such\n")
    (here / "grammar.py").write_text("def rule(:\n")
    (here / "needy.py").write_text("class Needy:\n    needs = 'signal'\n    def __init__(self, x): ...\n")
    (here / "wrong.py").write_text("def rule(v):\n    return v[..., :1], v\n")
    assert main(few(nmnist_root, "run", "--rule", place)) == 2
    told = capsys.readouterr().err
    assert said.format(here=here) in told
    assert told.count("\n") == 1
    assert not Path("run").exists()


def test_a_file_may_be_called_like_a_library(here, nmnist_root):
    """And what it imports lazily is found later, from its own folder; libraries stay what they are."""
    folder = here / "far"
    folder.mkdir()
    (folder / "random.py").write_text("def rule(v):\n    from sharpening import sharp\n    return sharp(v)\n")
    (folder / "sharpening.py").write_text(FILE)
    import random

    found = loading.load("far/random.py:rule")
    Learning(RuleSpec(found), OptimiserSpec(), 3)
    assert sys.modules["random"] is random
    assert loading.load("far/random.py:rule") == found
    assert found.place == f"{folder}/random.py:rule"


def test_settings_heed_what_a_rule_may_need(here, nmnist_root, capsys):
    """Nobody knows whether it heeds the log-weights of one compartment; a signal has no baseline."""
    one = ("--compartments", "1", "--kappa", "0.5", "--limit", "20", "--epochs", "1")
    words = command(nmnist_root, "run", "--rule", "mine:sharp", *one)
    assert main(words) == 0
    assert main(few(nmnist_root, "other", "--rule", "mine:sharp", "--baseline-decay", "0.5")) == 2
    assert "--baseline-decay has no effect: it needs --rule ml" in capsys.readouterr().err
