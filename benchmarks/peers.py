"""Other libraries' spiking networks on our bins: snnTorch and SpikingJelly, trained by backpropagation through time.

python benchmarks/peers.py peers                     (dense networks, on emulated digits)
python benchmarks/peers.py conv                      (a convolutional one)
python benchmarks/peers.py peers --bins BINS.npz     (as ``gemsnn bench --task peers --with-peers`` calls it)

They live in an environment of their own in the cache folder, made at first use (some minutes; torch is large), and
``peers_child.py`` runs there. The JSON lines have the keys of ``gemsnn bench --json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gemsnn.bench import cases
from gemsnn.bench.cases import Case
from gemsnn.data.generated import load_digits_events
from gemsnn.machine import places
from gemsnn.machine.children import Children

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "peers-requirements.txt"
SPIKINGJELLY = "spikingjelly==2.0.0" if sys.version_info >= (3, 11) else None
"""On Python 3.10, which it does not support, only snnTorch is measured."""

NAMES = {
    "peers": ("snntorch", "snntorch-at-once", *(("spikingjelly",) if SPIKINGJELLY else ())),
    "conv": ("snntorch-conv",),
}
"""Networks of ``peers_child.py`` by the task of ``gemsnn bench`` that they are measured on."""


def environment(folder: Path) -> Path:
    """The Python of the peers' environment, which is made unless these very requirements were installed before."""
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = f"{REQUIREMENTS.read_text()}\n{SPIKINGJELLY}\n"
    installed = folder / "gemsnn-requirements.txt"
    if installed.is_file() and installed.read_text() == wanted:
        return python
    print(f"making an environment for the other libraries in {folder} (some minutes)", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], stdout=sys.stderr, check=True)
    if SPIKINGJELLY:
        subprocess.run([*pip, "--no-deps", SPIKINGJELLY], stdout=sys.stderr, check=True)
    installed.write_text(wanted)
    return python


def digits_bins(case: Case, path: Path) -> None:
    """A batch of emulated digits as a case has them, in an .npz."""
    presentations = load_digits_events().train
    labels = [presentations[number].label for number in range(case.batch)]
    np.savez(path, spikes=cases.bins(presentations, case, case.batch).numpy(), labels=labels)


def rows(python: Path, case: Case, bins: Path, repeat: int) -> Iterator[dict]:
    """What is found, each network in a process of its own, as rows of ``gemsnn bench``."""
    sheet = [str(side) for side in case.network.sheet or ()]
    for name in NAMES[case.task]:
        words = [str(python), str(HERE / "peers_child.py"), str(bins), str(repeat), name, *sheet]
        with Children() as running:
            code, told = running.run(words, output=True)
        if code:
            sys.exit(f"{name} failed with code {code}")
        line = json.loads(told.splitlines()[-1])
        yield {
            "kernel": line.pop("library"),
            "task": case.task,
            "K": 1,
            "update_every": "presentation",
            "speedup_over_reference": None,
            "fraction_of_gemm_peak": None,
            "gflop": None,
            **line,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=sorted(NAMES))
    parser.add_argument("--bins", type=Path, help="an .npz of spikes (uint8 [B, T, M]) and labels ([B])")
    parser.add_argument("--quick", action="store_true", help="the task's tiny sizes, to see that all works")
    parser.add_argument("--repeat", type=int, default=5, help="training steps of which the best counts")
    parser.add_argument("--environment", type=Path, default=places.cache_folder() / "peers-venv")
    arguments = parser.parse_args()
    python = environment(arguments.environment)
    case = cases.cases(arguments.task, quick=arguments.quick)[0]
    with tempfile.TemporaryDirectory() as folder:
        bins = arguments.bins
        if bins is None:
            bins = Path(folder) / "bins.npz"
            digits_bins(case, bins)
        for row in rows(python, case, bins, arguments.repeat):
            print(json.dumps(row))


if __name__ == "__main__":
    main()
