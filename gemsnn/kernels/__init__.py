"""Kernels by name, and the choice of one."""

from __future__ import annotations

from types import ModuleType
from typing import Literal, cast

from gemsnn.kernels import block, cpu, reference
from gemsnn.kernels.contract import Kernel, Learned, Learning, Rollout
from gemsnn.network import Network
from gemsnn.types import InputError

__all__ = ["KERNELS", "Kernel", "KernelName", "Learned", "Learning", "Rollout", "choose"]

KernelName = Literal["auto", "reference", "block", "cpu"]

KERNELS: dict[str, ModuleType] = {"cpu": cpu, "block": block, "reference": reference}
"""Fastest first."""


def choose(name: KernelName, network: Network, learning: Learning | None = None) -> tuple[str, Kernel]:
    """The kernel of this name, or for ``"auto"`` the fastest that serves the case, with the name it has.

    Raises:
        InputError: the named kernel cannot serve the case. An explicit choice never falls back.
    """
    if name != "auto" and name not in KERNELS:
        raise InputError(f"there is no kernel {name!r}; choose one of auto, {', '.join(KERNELS)}")
    for candidate, module in KERNELS.items():
        kernel = cast(Kernel, module)
        if name not in ("auto", candidate):
            continue
        refusal = kernel.refuses(network, learning)
        if refusal is None:
            return candidate, kernel
        if name == candidate:
            raise InputError(f"the kernel {name!r} cannot serve this case: {refusal}")
    raise InputError("no kernel serves this case")
