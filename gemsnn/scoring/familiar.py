"""What is familiar: a density of the hidden activity, and one of the inputs, that the training recordings have had.

With the rate ``r_i`` of a neuron or an input, ``x_i = sqrt(r_i)`` varies about as much whatever the rate is
(M. S. Bartlett, 1936). What is familiar is a mixture of normal laws, one for each class, with one covariance,

    ``p(x) = sum_c pi_c N(x; mu_c, S)``,    ``d(x) = min_c (x - mu_c)' S^-1 (x - mu_c)``,

whose ``pi_c`` and ``mu_c`` are the classes' shares and means among the training recordings. The *surprise* is
``-log p(x)`` in nats, the *distance* is ``d(x)`` (K. Lee and others, arXiv 1807.03888).

``S`` is the covariance around these means ``S_0``, with ``n`` residuals ``e_i`` of ``D`` dimensions, shrunk towards a
multiple of the identity (O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance
matrices", 2004):

    ``S = (1 - b) S_0 + b m I``,  ``m = tr S_0 / D``,
    ``b = min(1, (sum_i |e_i|^4 / n - |S_0|^2) / (n (|S_0|^2 - D m^2)))``.

Of a large sensor it does not fit into memory. As many of its directions of largest variance ``l_j v_j v_j'`` are kept
as :data:`NUMBERS` numbers hold, and all others share the variance ``s`` that is left, so that the trace stays what it
is (M. E. Tipping and C. M. Bishop, "Probabilistic Principal Component Analysis", 1999):

    ``d_c(x) = |x - mu_c|^2 / s + sum_j (1 / l_j - 1 / s) (v_j' (x - mu_c))^2``.

With fewer recordings than dimensions, as many directions as recordings are the whole of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.model.network import Network
from gemsnn.specs import checks
from gemsnn.specs.checks import MOST
from gemsnn.types import PresentationSequence, first_observed

NUMBERS = 2**20
"""Numbers of the directions that a mixture keeps at most, 8 MiB."""

AT_ONCE = 2**25
"""Rates of inputs that are in memory at once while a mixture is fitted, 256 MiB."""

ALONE = 1e-10
"""A direction with less than this share of the largest variance is rounding."""


class Mixture(NamedTuple):
    """A mixture of normal laws of the square roots of rates, float64; see the module.

    Attributes:
        means: ``mu``, ``[C, D]``, of the classes that training showed.
        log_shares: ``log pi``, ``[C]``.
        directions: ``v``, orthonormal, ``[D, R]``.
        variances: ``l``, ``[R]``.
        rest: ``s``, of all other directions, ``[]``.
    """

    means: Tensor
    log_shares: Tensor
    directions: Tensor
    variances: Tensor
    rest: Tensor

    def distances(self, rates: Tensor) -> Tensor:
        """``d_c(x)`` to every class, ``[n, C]``.

        Raises:
            InputError: these are no rates, or of other neurons.
        """
        roots = _roots(rates, self.means.shape[1])
        along, means = roots @ self.directions, self.means @ self.directions
        more = 1 / self.variances - 1 / self.rest
        found = [
            (roots - mean).square().sum(1) / self.rest + (along - middle).square() @ more
            for mean, middle in zip(self.means, means, strict=True)
        ]
        return torch.stack(found, 1).clamp(min=0)  # rounding takes them a little below

    def distance(self, rates: Tensor) -> Tensor:
        """``d(x)``, the least of :meth:`distances`, ``[n]``."""
        return self.distances(rates).amin(1)

    def surprise(self, rates: Tensor) -> Tensor:
        """``-log p(x)`` in nats, ``[n]``."""
        dimensions, kept = self.directions.shape
        logs = self.log_shares - self.distances(rates) / 2
        log_root = (self.variances.log().sum() + (dimensions - kept) * self.rest.log()) / 2
        return dimensions / 2 * math.log(2 * math.pi) + log_root - logs.logsumexp(1)


def mixture(rates: Tensor, labels: Tensor) -> Mixture:
    """Learn what is familiar from the training recordings.

    Args:
        rates: ``[n, D]``, of hidden neurons (:attr:`gemsnn.scoring.evaluate.Poll.hidden`) or of inputs
            (:func:`input_rates`).
        labels: the classes ``[n]``; those that do not occur have no part in the mixture.

    Raises:
        InputError: these are no rates, the labels do not fit, or the recordings are too few or too much alike to tell
            how rates vary within a class.
    """
    roots = _roots(rates)
    checks.classes_of(labels, "the labels", "[n]", MOST)
    if len(labels) != len(roots):
        raise InputError(f"the labels must be as many as the {len(roots)} recordings, not {len(labels)}")
    _, place, counts = labels.unique(return_inverse=True, return_counts=True)
    means = torch.zeros(len(counts), roots.shape[1], dtype=torch.float64).index_add(0, place, roots)
    means /= counts[:, None]
    directions, variances, rest = _shrunk(roots - means[place])
    if len(roots) == len(counts) or not float(min(rest, variances.amin())) > 0:
        raise InputError(
            f"{len(roots)} recordings of {len(counts)} classes cannot tell how rates vary within a class; "
            "give more of each class"
        )
    return Mixture(means, (counts.double() / len(roots)).log(), directions, variances, rest)


def _shrunk(residuals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``v``, ``l`` and ``s`` of residuals ``[n, D]``, by the smaller of the two matrices of their products."""
    count, size = residuals.shape
    wide = count < size
    products = (residuals @ residuals.T if wide else residuals.T @ residuals) / count
    middle, square = products.trace() / size, products.square().sum()
    scatter = square - size * middle.square()
    noise = (residuals.square().sum(1).square().mean() - square) / count
    share = (noise / scatter).clamp(0, 1) if float(scatter) > 0 else torch.ones_like(scatter)
    values, vectors = torch.linalg.eigh(products)
    kept = min(int((values > ALONE * values[-1]).sum()) if wide else size, max(1, NUMBERS // size))
    values, vectors = values[-kept:], vectors[:, -kept:]
    directions = residuals.T @ (vectors / (count * values).sqrt()) if wide else vectors
    variances = (1 - share) * values + share * middle
    rest = (size * middle - variances.sum()) / (size - kept) if kept < size else variances.amin()
    return directions.contiguous(), variances, rest


def _roots(rates: Tensor, dimensions: int | None = None) -> Tensor:
    """Square roots, float64, of what can be rates."""
    shape = "[n, D]" if dimensions is None else f"[n, {dimensions}]"
    checks.floats(rates, "the rates", shape, 2)
    checks.no_nan(rates, "the rates")
    if rates.shape[1] != (dimensions or rates.shape[1]) or bool((rates < 0).any()):
        raise InputError(f"the rates must be {shape} and not negative, not {checks.told(rates)}")
    return rates.double().sqrt()


# -- of hidden neurons and of inputs -----------------------------------------------------------------------


class Surprises(NamedTuple):
    """Of n recordings, float64 ``[n]`` in nats; ``None`` where what is familiar is not known."""

    hidden: Tensor | None
    inputs: Tensor | None


NONE = Surprises(None, None)


class Familiar(NamedTuple):
    """What is familiar to a network: of its hidden activity, and of what came in; ``None`` where it is not known."""

    hidden: Mixture | None
    inputs: Mixture | None

    def surprises(self, network: Network, presentations: PresentationSequence, hidden: Tensor) -> Surprises:
        """Of recordings that gave these hidden rates, ``[n, H]``.

        Raises:
            InputError: they are of another network, or of another sensor.
        """
        own = None if self.hidden is None else self.hidden.surprise(hidden)
        if self.inputs is None:
            return Surprises(own, None)
        each = input_rates(network, presentations, range(len(presentations)))
        portions = iter(lambda: list(islice(each, 64)), [])
        return Surprises(own, torch.cat([self.inputs.surprise(torch.stack(some)) for some in portions]))


def familiar(
    network: Network, presentations: PresentationSequence, hidden: Tensor, labels: Tensor
) -> Familiar:
    """Learn what is familiar from the training recordings.

    Of a large sensor, so many of them, at equal distances, give the mixture of the inputs as :data:`AT_ONCE` numbers
    hold.

    Args:
        network: the network.
        presentations: the recordings, n of them.
        hidden: rates of the hidden neurons, ``[n, H]``.
        labels: the classes ``[n]``.
    """
    some = min(len(labels), max(1, AT_ONCE // network.spec.inputs))
    chosen = torch.arange(some) * len(labels) // some
    came = torch.stack(list(input_rates(network, presentations, chosen.tolist())))
    return Familiar(
        _known(hidden, labels) if hidden.shape[1] else None,
        _known(came, labels[chosen]),
    )


def _known(rates: Tensor, labels: Tensor) -> Mixture | None:
    try:
        return mixture(rates, labels)
    except InputError:
        return None


def input_rates(
    network: Network, presentations: PresentationSequence, positions: range | list[int]
) -> Iterator[Tensor]:
    """Spikes (or events, where bins hold counts) of each input per observed step, float64 ``[M]`` of a recording."""
    for position in positions:
        rows = presentations[position].rows
        first = first_observed(network.spec.warm_up, len(rows))
        yield torch.from_numpy(rows.part(first, len(rows)).per_input() / (len(rows) - first))
