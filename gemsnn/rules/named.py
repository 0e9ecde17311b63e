"""The rules of this package by name, each with what it climbs.

With ``q = softmax_k(v)`` and ``L = log (1/K) sum_k exp v[k]``:

=========== =============== ========================= =============================================
rule        visible neurons hidden neurons            climbs, at ``kappa = gamma = 1``
=========== =============== ========================= =============================================
``gem``     ``q[k]``        ``q[k]``                  ``log p(x)``, up to a bias of order 1/K
``gem-cv``  ``q[k]``        ``q[k] - 1 / K``          the same; less variance
``iw``      ``q[k]``        ``L - L_k``               the K-sample bound ``E L``, without bias
``iw-ovis`` ``q[k]``        ``L - log Z_k``           the same
``mb``      ``1 / K``       ``(v[k] - mean_k v) / K`` ``E log p(x || h)``, without bias
``ml``      ``1 / K``       :mod:`gemsnn.rules.ml`    the same, less ``sparsity`` times a divergence
=========== =============== ========================= =============================================

with three things of the compartments other than k: ``mean_k v``, the mean of their log-weights; ``L_k``, which is
L with that mean in place of ``v[k]``; ``Z_k``, the mean of their ``exp v``. None depends on compartment k, whose
score has zero mean, so subtracting them changes no expectation. At K = 1 there are no others and they count as 0;
``gem-cv`` then teaches hidden neurons nothing.

Three more rules look at single hidden spikes, through :mod:`gemsnn.rules.credit`: ``one-hop`` (visible neurons as in
``gem``; hidden ones learn from that module's signal alone, with bias), ``one-hop-gem`` (that signal on top of
``gem-cv``) and ``one-hop-cv`` (``gem-cv`` with a control variate: its expectation, and less variance).
"""

from __future__ import annotations

import typing
from typing import Literal

from gemsnn.rules import control, importance, ml
from gemsnn.rules.contract import NEEDS, Need, Rule

RuleName = Literal["gem", "gem-cv", "iw", "iw-ovis", "mb", "ml", "one-hop", "one-hop-gem", "one-hop-cv"]
NAMES: tuple[RuleName, ...] = typing.get_args(RuleName)

SIGNAL: frozenset[Need] = frozenset({"signal"})
CREDIT: frozenset[Need] = frozenset({"signal", "credit"})

NAMED: dict[RuleName, Rule] = {
    # generalised expectation maximisation: a compartment teaches by its share in explaining the output
    "gem": Rule("gem", SIGNAL, importance.gem),
    # .. and hidden neurons by how far that is from an equal share
    "gem-cv": Rule("gem-cv", SIGNAL, importance.gem_cv),
    # importance weighting: by how much it raises the bound above what the others' mean would have done (VIMCO)
    "iw": Rule("iw", SIGNAL, importance.iw),
    # .. and above the bound of the others alone (OVIS)
    "iw-ovis": Rule("iw-ovis", SIGNAL, importance.iw_ovis),
    # several single samples: by how much better than the others it explained the output
    "mb": Rule("mb", SIGNAL, importance.mb),
    # maximum likelihood of single samples, each synapse with a baseline of its own
    "ml": Rule("ml", frozenset({"synapse"}), init=ml.init, advance=ml.advance),
    # a hidden spike is credited with what it did one synapse ahead, and with that alone
    "one-hop": Rule("one-hop", CREDIT, importance.one_hop),
    # .. beside the share of its compartment
    "one-hop-gem": Rule("one-hop-gem", CREDIT, importance.gem_cv),
    # .. which is only subtracted where it is foreseen, and given back in the mean
    "one-hop-cv": Rule("one-hop-cv", frozenset(NEEDS), importance.gem_cv, control.init, control.advance),
}
"""All of them."""
