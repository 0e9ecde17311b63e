"""Probabilistic spiking neural networks that learn from events and answer by votes.

Read it in the order of the data: :mod:`gemsnn.data`, :mod:`gemsnn.network`, :mod:`gemsnn.rules`,
:mod:`gemsnn.kernels`, :mod:`gemsnn.sampling`, :mod:`gemsnn.train`, :mod:`gemsnn.evaluate`, :mod:`gemsnn.report`.
"""

from importlib import metadata

__version__ = metadata.version("gemsnn")
