"""One file in, one :class:`~gemsnn.data.events.Recording` out; and what a file of any kind holds."""

from gemsnn.data.readers.aedat2 import read_aedat2
from gemsnn.data.readers.describe import describe
from gemsnn.data.readers.files import read_recording
from gemsnn.data.readers.nmnist import read_nmnist

__all__ = ["describe", "read_aedat2", "read_nmnist", "read_recording"]
