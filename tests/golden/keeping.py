"""Goldens in a file: what is kept of a result, on which platform it was made, and what differs from it.

Of every leaf the type, the shape and a SHA-256 of its values are kept (its first 128 bits), with three numbers in
float64 that tell how far another platform's values are from it. The reference's parameters are kept whole.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import platform
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import safetensors
import scipy
import threadpoolctl
import torch
from safetensors.torch import save_file
from torch import Tensor

LARGEST = 5000
"""Bytes of a leaf that is kept whole, at most."""

FLAGS = ("sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512dq", "avx512bw", "avx512vl", "neon", "sve")
# Adam divides by the root of a mean of squares, which is next to nothing where a synapse has hardly been blamed, and so
# makes much of roundings: on an Intel processor 8e-7 were seen of goldens that an AMD one made.
WITHIN = {"float64": 1e-5, "float32": 1e-4}

Leaves = dict[str, Tensor]
Kept = tuple[str, list[int], str]
"""Type, shape and digest."""


def fingerprint() -> dict[str, str]:
    """All that decides how sums round: the processor, and what was compiled for it or chooses code by it."""
    importlib.import_module("scipy.linalg.cython_blas")  # loads the library whose version is told
    threads = threadpoolctl.threadpool_info()
    told = {}
    if Path("/proc/cpuinfo").is_file():
        lines = (line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
        told = {name.strip(): value.strip() for name, value in lines}
    features = llvmlite.binding.get_host_cpu_features()
    compiled_for = numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    built = torch.__config__.show()
    return {
        "machine": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}",
        "processor": " ".join(
            told.get(name, "?") for name in ("vendor_id", "cpu family", "model", "model name")
        ),
        "flags": " ".join(flag for flag in FLAGS if features.get(flag)),
        "torch": f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}",
        "mkl": next((line.strip(" -") for line in built.splitlines() if "Math Kernel" in line), "none"),
        "mkl_settings": " ".join(
            f"{name}={os.environ[name]}" for name in sorted(os.environ) if name.startswith("MKL_")
        ),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "openblas": "; ".join(
            sorted(
                {f"{x['version']} {x['architecture']}" for x in threads if x["internal_api"] == "openblas"}
            )
        ),
        "numba": f"{numba.__version__}, llvmlite {llvmlite.__version__}, {compiled_for}",
    }


def digest(leaf: Tensor) -> str:
    """Of a leaf's values; a zero's sign does not count, as it does not in a comparison."""
    values = leaf.contiguous() + 0 if leaf.dtype.is_floating_point else leaf.contiguous()
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()[:32]


def kept_of(leaf: Tensor) -> Kept:
    return str(leaf.dtype).removeprefix("torch."), list(leaf.shape), digest(leaf)


def summary(leaf: Tensor) -> Tensor:
    """``sum_i x_i``, ``sum_i x_i cos i`` and ``max_i |x_i|``, float64 ``[3]``."""
    values = leaf.double().flatten()
    ramp = torch.arange(len(values), dtype=torch.float64).cos()
    return torch.stack([values.sum(), (values * ramp).sum(), values.abs().max()])


class Goldens:
    """Results by name, ``case/kernel``, and on which platform they were made."""

    def __init__(
        self, leaves: dict[str, dict[str, Kept]], arrays: Leaves, made: dict[str, str], note: str
    ) -> None:
        self.leaves, self.arrays, self.made, self.note = leaves, arrays, made, note

    @staticmethod
    def of(results: dict[str, Leaves], note: str) -> Goldens:
        leaves, arrays = {}, {}
        for name, result in results.items():
            leaves[name] = {leaf: kept_of(value) for leaf, value in result.items()}
            arrays[f"{name}/summaries"] = torch.stack([summary(value) for value in result.values()])
            for leaf, value in result.items():
                size = value.numel() * value.element_size()
                if leaf.startswith("params") and "/reference" in name and size <= LARGEST:
                    arrays[f"{name}/{leaf}"] = value.contiguous()
        return Goldens(leaves, arrays, fingerprint(), note)

    def save(self, path: Path) -> None:
        facts = {"platform": self.made, "note": self.note, "leaves": self.leaves}
        text = json.dumps(facts, separators=(",", ":"))
        save_file(self.arrays, path, {"facts": text})  # one entry, as safetensors writes several in any order

    @staticmethod
    def load(path: Path) -> Goldens:
        with safetensors.safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        return Goldens(facts["leaves"], arrays, facts["platform"], facts["note"])

    @property
    def here(self) -> bool:
        """Whether they were made on a platform like this one."""
        return self.made == fingerprint()

    def differences(self, name: str, result: Leaves, *, exact: bool) -> list[str]:
        """A sentence for every leaf that is not what it was.

        With ``exact`` every bit counts. Without, floats of a whole result may be away from it by :data:`WITHIN`, and
        whole numbers only if it was computed in float32, where one rounding may decide about a spike.
        """
        known, found = self.leaves[name], []
        if list(known) != list(result):
            return [f"{name} has the leaves {list(result)} and had {list(known)}"]
        within = WITHIN[known["params.weight"][0]]
        for row, (leaf, value) in enumerate(result.items()):
            kind, shape, before = known[leaf]
            if kept_of(value)[:2] != (kind, shape):
                found.append(f"{name}/{leaf} is {value.dtype} {list(value.shape)} and was {kind} {shape}")
                continue
            if digest(value) == before:
                continue
            away = self._away(name, leaf, row, value)
            counts = not value.dtype.is_floating_point
            if exact or (within == WITHIN["float64"] if counts else not away <= within):
                found.append(f"{name}/{leaf} differs, by about {away:.2g} of its largest value")
        return found

    def _away(self, name: str, leaf: str, row: int, value: Tensor) -> float:
        """The largest difference, or what the summaries tell of it, relative to the largest value if above 1."""
        before = self.arrays[f"{name}/summaries"][row]
        scale = max(1.0, float(before[2]))
        whole = self.arrays.get(f"{name}/{leaf}")
        if whole is not None:
            return float((value.double() - whole.double()).abs().max()) / scale
        # sums of n values, each of which may be away by as much
        apart = (summary(value) - before).abs() / torch.tensor([value.numel(), value.numel(), 1.0])
        return float(apart.max()) / scale
