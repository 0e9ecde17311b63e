"""Probabilistic spiking neural networks for events: local three-factor learning, and answers that come as votes.

Read it in the order of the data: :mod:`gemsnn.data`, :mod:`gemsnn.network`, :mod:`gemsnn.rules`,
:mod:`gemsnn.kernels`, :mod:`gemsnn.sampling`, :mod:`gemsnn.train`, :mod:`gemsnn.evaluate`, :mod:`gemsnn.report`.
"""

from importlib import metadata

__version__ = metadata.version("gemsnn")
