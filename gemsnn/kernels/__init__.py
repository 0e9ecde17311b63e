"""Kernels by name, and the choice of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Literal, cast

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.kernels import reference
from gemsnn.kernels.block import kernel as block
from gemsnn.kernels.contract import Kernel, Learned, Learning, Rollout, Stream
from gemsnn.kernels.cpu import graph
from gemsnn.kernels.cpu import kernel as cpu
from gemsnn.model import network as networks
from gemsnn.model.network import Network, NetworkSpec
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.credit import check_taught
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.rules.own import Own
from gemsnn.specs import checks
from gemsnn.types import Presentation

__all__ = [
    "KERNELS",
    "STREAMS",
    "Kernel",
    "KernelName",
    "Learned",
    "Learning",
    "Rollout",
    "Stream",
    "choose",
    "choose_stream",
    "warm_up",
]

KernelName = Literal["auto", "reference", "block", "cpu"]

KERNELS: dict[str, ModuleType] = {"cpu": cpu, "block": block, "reference": reference}
"""Fastest first."""


def choose(name: KernelName, network: Network, learning: Learning | None = None) -> tuple[str, Kernel]:
    """The kernel of this name, or for ``"auto"`` the fastest that serves the case, with the name it has.

    Raises:
        InputError: the named kernel cannot serve the case. An explicit choice never falls back.
    """
    checks.choice(name, KernelName, "kernel")
    if learning is not None and learning.rule.value.by_credit_alone:
        check_taught(network, learning.rule.name)
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


STREAMS: dict[str, Callable[..., Stream]] = {"cpu": cpu.CpuStream, "reference": reference.ReferenceStream}
"""Kernels that run without end, fastest first."""


def choose_stream(
    name: KernelName, network: Network, learning: Learning | None = None
) -> tuple[str, Callable[..., Stream]]:
    """The stream of the kernel of this name, or for ``"auto"`` the fastest (about) that serves the case, with its name.

    Raises:
        InputError: the named kernel has no stream, or cannot serve the case.
    """
    if name not in ("auto", *STREAMS):
        raise InputError(f"the kernel {name!r} has no stream; choose one of auto, {', '.join(STREAMS)}")
    chosen, _ = choose(name, network, learning)
    slow = (
        chosen == "cpu" and not network.is_joint and learning is not None and graph.is_slow(network, learning)
    )
    if chosen not in STREAMS or (slow and name == "auto"):  # what cpu refuses, block would take
        chosen, _ = choose("reference", network, learning)
    return chosen, STREAMS[chosen]


def warm_up(kernel: Kernel, like: Tensor, learning: Learning | None = None) -> None:
    """Run a kernel once on next to nothing, so that it compiles now what it needs, or loads it from the disk cache.

    Args:
        kernel: the kernel.
        like: has the type and the device of the networks to come.
        learning: where it has a rule of one's own, that may need more than the others.
    """
    small = NetworkSpec(inputs=1, visible=1, hidden=(1,))
    network = networks.build(small, dtype=like.dtype, device=like.device)
    params, spec = networks.init(network, 0), OptimiserSpec("sgd")
    zeros = torch.zeros(2, 1, dtype=torch.uint8)
    batch = networks.batch(network, [Presentation(zeros, zeros, 0, 0)])
    each = [Learning(RuleSpec(), spec, 2, 1)]
    if learning is not None and isinstance(learning.rule.rule, Own):
        each.append(dataclasses.replace(learning, optimiser=spec))
    for one in each:
        kernel.learn(network, params, optimisers.init(spec, params), one, batch, seed=0, lr=0.0)
    kernel.rollout(network, params, batch, 2, seed=0, clamp=False)
