"""All commands by users without a home: nobody's own place is needed, and no library beneath asks for one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import command

from gemsnn import kernels
from gemsnn.kernels.cpu import kernel as cpu
from gemsnn.machine import compiled

NUMBER, NOBODY = 54321, 65534
"""Users: one whom the system does not know, and one who has no home to write in."""

READING = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
"""They may read what root may, for Python itself may lie in root's home; they write where anybody may."""

ALL = """
import json, sys
from gemsnn.commands.cli import main

codes = []
for words in json.loads(sys.argv[1]):
    try:
        codes.append(main(words))
    except SystemExit as left:  # as --help does
        codes.append(left.code)
print(json.dumps(codes))
"""

pytestmark = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0 or shutil.which("setpriv") is None,
    reason="needs root and setpriv to become another user",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, which go through the emulator and the cache."""
    path = tmp_path_factory.mktemp("images") / "images.npz"
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(20) % 2)
    return path


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that others may pass: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class Other:
    """Another user, with a folder to work in and a temporary one that already holds compiled code, to save minutes."""

    def __init__(self, user: int, folder: Path) -> None:
        self.user, self.work, self.temporary = user, folder / "work", folder / "tmp"
        self.kept = self.temporary / f"gemsnn-{user}"
        kernels.warm_up(cpu, torch.zeros(0))
        ready = compiled.folder()
        for made in (self.work, self.temporary, self.kept, self.kept / "compiled"):
            made.mkdir(mode=0o700)
        if ready is not None:
            shutil.copytree(ready, self.kept / "compiled" / ready.name)
        for path in (self.work, *self.temporary.rglob("*"), self.temporary):
            os.chown(path, user, user)

    def run(self, commands: list[list[str]], **environment: str) -> tuple[list[int], str]:
        """Run commands in one process, with nothing in the environment but what is said: exit codes, standard error."""
        user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", *READING]
        done = subprocess.run(
            [*user, sys.executable, "-c", ALL, json.dumps(commands)],
            cwd=self.work, capture_output=True, text=True, timeout=500, check=False,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(self.temporary), **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stderr


def every_command(nmnist_root: Path, pictures: Path) -> list[list[str]]:
    """All commands, short of a whole sweep and a whole benchmark."""
    recording = next((nmnist_root / "Train" / "0").glob("*.bin"))
    images = ["--data", "images", "--root", str(pictures), "--out", "seen", "--kernel", "reference"]
    small = ["--hidden", "2", "--epochs", "1", "--compartments", "1", "--votes", "1"]
    return [
        ["--help"],
        ["--version"],
        ["info", str(recording)],
        command(nmnist_root, "run", "--epochs", "1", "--kernel", "cpu"),
        ["train", *images, *small],
        ["evaluate", "run"],
        ["evaluate", "seen"],
        ["export", "run", "run.nir"],
        ["report", "run"],
        ["stream", "--model", "run", "--input", str(recording), "--speed", "max"],
        ["reproduce", "k-sweep", "--help"],
        ["bench", "--help"],
    ]


@pytest.mark.parametrize("home", ["none", "another's"])
def test_all_commands_by_a_user_without_a_home(
    home: str, outside: Path, nmnist_root: Path, pictures: Path
) -> None:
    other = Other(NUMBER if home == "none" else NOBODY, outside)
    place = outside / "home"
    environment = {} if home == "none" else {"HOME": str(place)}
    if home == "another's":
        place.mkdir(mode=0o755)
    commands = every_command(nmnist_root, pictures)
    codes, told = other.run(commands, **environment)
    failed = [words for words, code in zip(commands, codes, strict=True) if code != 0]
    assert not failed, told
    for word in ("Traceback", "Errno", "atplotlib", "umba"):
        assert word not in told, told
    lines = [line for line in told.splitlines() if "cannot be written" in line]
    usual = place / ".cache" / "gemsnn"
    line = f"gemsnn: {usual} cannot be written (Permission denied); {other.kept} takes its place"
    assert lines == ([] if home == "none" else [line])
    assert list(other.kept.glob("images-*.safetensors"))
    assert list((other.kept / "matplotlib").iterdir())
    assert {path.name for path in other.temporary.iterdir()} == {other.kept.name}
