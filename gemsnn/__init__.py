"""Probabilistic spiking neural networks for events: local three-factor learning, and answers that come as votes.

Read it in the order of the data: :mod:`gemsnn.data`, :mod:`gemsnn.model`, :mod:`gemsnn.rules`,
:mod:`gemsnn.kernels`, :mod:`gemsnn.scoring`, :mod:`gemsnn.learn`, :mod:`gemsnn.runs`, :mod:`gemsnn.report`.
"""

from importlib import metadata

__version__ = metadata.version("gemsnn")
