"""Completion in real shells: what is offered where, and that nothing is started for it."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from gemsnn.commands.cli import COMMANDS, main
from gemsnn.data.datasets import NAMES


@pytest.fixture
def written(tmp_path, capsys):
    """Writes the script of a shell into a folder that holds a run, a file and nothing else that begins so."""

    def write(shell):
        assert main(["completion", shell]) == 0
        script = tmp_path / "script"
        script.write_text(capsys.readouterr().out)
        (tmp_path / "my run").mkdir()
        (tmp_path / "my.csv").touch()
        return script

    return write


def bash(script, *lines):
    """What bash offers at the end of lines, each given as its words; with no program to be found."""
    calls = "\n".join(
        f"COMP_WORDS=({' '.join(line)}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=(); _gemsnn\n"
        'IFS="|"; echo "${COMPREPLY[*]}"; unset IFS'
        for line in lines
    )
    shell = shutil.which("bash")
    done = subprocess.run(
        [shell or "bash", "--norc", "-c", f"source {script}\n{calls}"],
        cwd=script.parent, env={"PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [set(filter(None, line.split("|"))) for line in done.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(written):
    script = written("bash")
    found = bash(
        script,
        ["gemsnn", "''"],
        ["gemsnn", "ev"],
        ["gemsnn", "train", "--rec"],
        ["gemsnn", "train", "--recipe", "''"],
        ["gemsnn", "train", "--epochs", "3", "--data", "''"],
        ["gemsnn", "train", "--rule", "=", "one-hop-"],
        ["gemsnn", "train", "--epochs", "''"],
        ["gemsnn", "evaluate", "my"],
        ["gemsnn", "predict", "'my run'", "--out", "my."],
        ["gemsnn", "reproduce", "re"],
        ["gemsnn", "reproduce", "real", "--se"],
        ["gemsnn", "nothing", "--"],
    )
    assert found == [
        {*COMMANDS, "--help", "--version"}, {"evaluate"}, {"--recipe"}, {"best", "paper"}, set(NAMES),
        {"one-hop-gem", "one-hop-cv"}, set(), {"my run", "my.csv"}, {"my.csv"}, {"real"}, found[10], set(),
    ]  # fmt: skip
    assert {"--seeds", "--sets"} <= found[10]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_offers_every_flag_of_every_command(written, capsys):
    script = written("bash")
    for name, offered in zip(
        COMMANDS, bash(script, *(["gemsnn", name, "--"] for name in COMMANDS)), strict=True
    ):
        with pytest.raises(SystemExit):
            main([name, "--help-all"])
        shown = set(re.findall(r"^[^-\w]{1,3}(--[a-z][a-z0-9-]*)", capsys.readouterr().out, re.MULTILINE))
        assert {flag for flag in shown if flag != "--help"} <= offered, name


def typed(script, shell, setup, keys, wanted):
    """What a shell on a terminal shows once keys are pressed, up to the words that are wanted, or for a minute."""
    pty = pytest.importorskip("pty")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(script.parent)
        os.execvpe(shell[0], shell, os.environ | {"TERM": "dumb", "PS1": "> ", "HISTFILE": "/dev/null"})
    shown = b""

    def read(until):
        nonlocal shown
        end = time.monotonic() + 60
        while until not in shown and time.monotonic() < end:
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 65536)

    try:
        os.write(terminal, f"{setup}; source {script}; echo REA''DY\n".encode())
        read(b"READY\r\n")
        os.write(terminal, keys.encode())
        read(wanted.encode())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)
    return shown.decode(errors="replace")


@pytest.mark.parametrize(
    ("name", "words", "setup"),
    [("bash", ["--norc"], "true"), ("zsh", ["-f"], "autoload -U compinit; compinit -D -u")],
)
def test_a_person_presses_tab(written, name, words, setup):
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name}")
    script, keys = written(name), "gemsnn tra\t--recipe p\t--schedule cons\t--root my.\t"
    shown = typed(script, [name, *words, "-i"], setup, keys, "my.csv")
    assert re.search(
        r"gemsnn train +--recipe paper +--schedule constant +--root my\.csv", re.sub(r"[\b\r]", "", shown)
    ), shown


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
def test_fish_completes(written):
    script = written("fish")
    lines = (
        "gemsnn ev",
        "gemsnn train --rec",
        "gemsnn train --recipe ",
        "gemsnn evaluate my",
        "gemsnn reproduce re",
    )
    code = f"source {script}\n" + "".join(f"complete -C '{line}'; echo =\n" for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", code], cwd=script.parent, capture_output=True, text=True, check=True
    )
    found = [
        {row.split("\t")[0] for row in part.strip().splitlines()} for part in done.stdout.split("=\n")[:-1]
    ]
    assert found[:3] == [{"evaluate"}, {"--recipe"}, {"best", "paper"}]
    assert {"my.csv"} < found[3]
    assert "real" in found[4]
    assert "--recipe\tsettings that have been measured" in done.stdout
