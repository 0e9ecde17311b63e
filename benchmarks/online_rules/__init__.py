"""Online learning rules of others, short and readable, for one hidden layer: what ``real_peers.py`` measures.

Each file is one rule of one paper: ``init`` draws weights, ``forward`` runs the network, and ``gradients`` gives what
the rule subtracts from the weights, times a step size. No rule uses autograd or needs anything of a later step: where a
file sums in another order than time's, it says so, and ``tests/test_online_rules.py`` holds it to the sum in time's
order, synapse by synapse, and, where the rule is exact, to autograd.

Letters: T steps, B recordings, M inputs, H hidden neurons, C classes. Inputs are ``[T, B, M + 1]``, the last of which
is 1 at every step, so that biases are weights like others.
"""

from online_rules import decolle, eprop, ottt, stllr

RULES = {"e-prop": eprop, "ottt": ottt, "decolle": decolle, "s-tllr": stllr}
