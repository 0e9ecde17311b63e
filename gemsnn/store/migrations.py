"""What makes a checkpoint of the next format of one of an older format.

Format 2 knows networks of several links (:mod:`gemsnn.model.links`), where format 1 had one weight.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

RENAMED = (
    (r"^(params|first|second)\.weight$", r"\1.weights.joint"),
    (
        r"^(stream\.(?:params|pending|optimiser\.first|optimiser\.second)|stream\.rule\..+)\.weight$",
        r"\1.weights.joint",
    ),
    (r"^stream\.rule\.recent\.input_trace$", "stream.rule.recent.traces.0.inputs"),
    (r"^stream\.rule\.recent\.neuron_trace$", "stream.rule.recent.traces.0.neurons"),
)
"""Names of leaves in format 1, and in format 2."""


def links(tensors: dict[str, Tensor], facts: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Format 1 to 2: the one weight becomes that of the joint link.

    A stream of the kernel cpu holds its weights its own way, which has stayed the same: it has a leaf
    ``stream.weight``.
    """
    kept = "stream.weight" in tensors

    def named(name: str) -> str:
        for old, new in RENAMED:
            if not (kept and name.startswith("stream.")):
                name = re.sub(old, new, name)
        return name

    return {named(name): leaf for name, leaf in tensors.items()}, facts | {"format": 2}
