"""Where networks lie and run: the CPU, or a graphics card, by the names that torch has for them."""

from __future__ import annotations

import re
from typing import Any

from gemsnn.errors import InputError

CPU = "cpu"


def check_name(device: Any) -> None:
    """Raise :class:`InputError` unless this is ``cpu``, ``cuda`` or ``cuda:`` and a number."""
    if not (isinstance(device, str) and re.fullmatch(r"cpu|cuda(:(0|[1-9][0-9]?))?", device)):
        raise InputError(f"device must be cpu, cuda or cuda:1 (a card's number), not {device!r}")


def is_here(device: str) -> bool:
    """Whether this machine has a device of this name, and torch can use it."""
    import torch

    if not device.startswith("cuda"):
        return True
    number = int(device.partition(":")[2] or 0)
    return torch.cuda.is_available() and number < torch.cuda.device_count()


def check_here(device: str) -> None:
    """Raise :class:`InputError` unless this machine has the device."""
    if not is_here(device):
        raise InputError(
            f"the device {device} is not here, or this torch cannot use it; leave out --device, or give cpu"
        )
