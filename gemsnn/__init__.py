"""Probabilistic spiking neural networks for events: local three-factor learning, and answers that come as votes.

What is promised are the names in ``__all__``; everything else may change::

    import gemsnn

    data = gemsnn.dataset("digits")
    model = gemsnn.fit(data)
    print(gemsnn.score(model, data.test).accuracy)
    model.save("digits.gemsnn.safetensors")

Read the code in the order of the data: :mod:`gemsnn.data`, :mod:`gemsnn.model`, :mod:`gemsnn.rules`,
:mod:`gemsnn.kernels`, :mod:`gemsnn.scoring`, :mod:`gemsnn.learn`, :mod:`gemsnn.runs`, :mod:`gemsnn.plots`,
:mod:`gemsnn.report`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemsnn import plots
    from gemsnn.data.spikeset import SpikeSet as Recordings
    from gemsnn.errors import InputError
    from gemsnn.learn.online import OnlineLearner
    from gemsnn.model.spec import NetworkSpec
    from gemsnn.rules.contract import Rule
    from gemsnn.runs.asking import ask, predict, score
    from gemsnn.runs.estimator import GEMClassifier
    from gemsnn.runs.fitting import dataset, federate, fit, tune
    from gemsnn.runs.loading import load
    from gemsnn.runs.models import Model
    from gemsnn.runs.prediction import Prediction, Winners
    from gemsnn.runs.run import Run
    from gemsnn.runs.tuning import Tuned
    from gemsnn.scoring.scores import Scores

    __version__: str

_HOMES = {
    "GEMClassifier": "gemsnn.runs.estimator",
    "InputError": "gemsnn.errors",
    "Model": "gemsnn.runs.models",
    "NetworkSpec": "gemsnn.model.spec",
    "OnlineLearner": "gemsnn.learn.online",
    "Prediction": "gemsnn.runs.prediction",
    "Recordings": "gemsnn.data.spikeset:SpikeSet",
    "Rule": "gemsnn.rules.contract",
    "Run": "gemsnn.runs.run",
    "Scores": "gemsnn.scoring.scores",
    "Tuned": "gemsnn.runs.tuning",
    "Winners": "gemsnn.runs.prediction",
    "ask": "gemsnn.runs.asking",
    "dataset": "gemsnn.runs.fitting",
    "federate": "gemsnn.runs.fitting",
    "fit": "gemsnn.runs.fitting",
    "load": "gemsnn.runs.loading",
    "plots": "gemsnn.plots:",
    "predict": "gemsnn.runs.asking",
    "score": "gemsnn.runs.asking",
    "tune": "gemsnn.runs.fitting",
}
"""Where each name lives; it is loaded when it is first asked for, since torch takes seconds."""

__all__ = [
    "GEMClassifier",
    "InputError",
    "Model",
    "NetworkSpec",
    "OnlineLearner",
    "Prediction",
    "Recordings",
    "Rule",
    "Run",
    "Scores",
    "Tuned",
    "Winners",
    "__version__",
    "ask",
    "dataset",
    "federate",
    "fit",
    "load",
    "plots",
    "predict",
    "score",
    "tune",
]


def __getattr__(name: str) -> object:
    import importlib
    from importlib import metadata

    if name == "__version__":
        return globals().setdefault(name, metadata.version("gemsnn"))
    if name not in _HOMES:
        raise AttributeError(f"module 'gemsnn' has no attribute {name!r}; it has {', '.join(__all__)}")
    home, colon, there = _HOMES[name].partition(":")
    module = importlib.import_module(home)
    return globals().setdefault(name, module if colon and not there else getattr(module, there or name))


def __dir__() -> list[str]:
    return list(__all__)
