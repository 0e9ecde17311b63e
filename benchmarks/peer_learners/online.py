"""Learners by an online rule, with Adam on what the rule says of a batch of recordings."""

from __future__ import annotations

import torch

from online_rules import RULES
from peer_learners.shown import Answer, Batch, Settings, Shape, answer_of


class Online:
    """A network of one hidden layer that learns by a rule of :data:`online_rules.RULES`."""

    def __init__(self, rule: str, shape: Shape, settings: Settings, seed: int) -> None:
        self.rule, self.decay = RULES[rule], settings.decay
        draw = torch.Generator().manual_seed(seed)
        self.params = self.rule.init(shape.inputs, shape.hidden, shape.classes, draw)
        self.adam = torch.optim.Adam(self.params, lr=settings.lr)

    @property
    def bytes(self) -> int:
        """The size of its weights."""
        return sum(leaf.nbytes for leaf in self.params)

    def learn(self, batch: Batch, lr: float) -> None:
        """One update of Adam from the rule's."""
        labels = torch.from_numpy(batch.labels)
        found = self.rule.gradients(
            self.params, batch.steps_first(one=True), labels, batch.weights(), self.decay
        )
        for leaf, gradient in zip(self.params, found, strict=True):
            leaf.grad = gradient
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()

    def answer(self, batch: Batch) -> Answer:
        """The mean logits."""
        run = self.rule.forward(self.params, batch.steps_first(one=True), self.decay)
        hidden, classes = run.spikes.shape[2], run.logits.shape[2]
        spikes, came = run.spikes.sum((0, 2)), torch.from_numpy(batch.spikes.sum((1, 2), dtype="int64"))
        return answer_of(run.logits, batch.weights(), spikes, came * hidden + spikes * classes)
