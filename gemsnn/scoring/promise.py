"""What somebody wants promised, and the certificate that promises it, as it is written down."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec

from gemsnn.errors import InputError
from gemsnn.scoring.answers import Decoder
from gemsnn.scoring.conformal import ScoreName
from gemsnn.scoring.early import Rule
from gemsnn.store.checkpoints import digest_of

FORMAT = 3

Positive = Annotated[float, msgspec.Meta(gt=0)]
Natural = Annotated[int, msgspec.Meta(ge=0)]


class Asked(NamedTuple):
    """What somebody wants promised.

    Attributes:
        risk: how often the right class may be missing from what is said.
        score: by which classes are ranked, see :mod:`gemsnn.scoring.conformal`.
        rule: by which recordings are answered early, see :mod:`gemsnn.scoring.early`.
        checkpoints: moments at which a recording may be answered, at equal distances from the first observed bin to the
            end.
        confidence: of the rule ``answers``, over the recordings that it is fitted on.
        by_class: whether sets at the end keep the promise for the recordings of each class by itself.
    """

    risk: float = 0.05
    score: ScoreName = "lac"
    rule: Rule = "single"
    checkpoints: int = 20
    confidence: float = 0.9
    by_class: bool = False


class Certificate(msgspec.Struct, frozen=True):
    """Limits with a promise, as they are written down.

    Attributes:
        format: of the file.
        risk: how often the right class may be missing.
        score: by which classes are ranked.
        rule: by which recordings are answered early.
        confidence: with which that rule's promise holds, where it is ``answers``.
        recordings: that it was fitted on.
        compartments: whose answers it is about, K.
        decoder: how they answer.
        seed: of their noise, and of what the certificate draws.
        temperature: of their probabilities.
        begin: bins before the first one that counts for an answer.
        checkpoints: bins that have passed when a recording may be answered.
        temperatures: at which probabilities are calibrated there, of the very recordings; no limit rests on them.
        reference: part A's scores of right classes, a row for each recording; none for ``spikecp``.
        own: of each recording of part B the least limit that keeps the promise for it, of which the limit is the
            quantile; none for ``spikecp`` and ``answers``.
        limits: of levels (of ``spikecp``, of scores at each checkpoint); ``None`` where no limit keeps the promise.
        scores: of the right classes at the end.
        set_limits: of the scores at the end, one for all classes, or one for each; ``None`` where there is none.
        doubts: ``1 - max p`` at the end, of each recording.
        came: input spikes (or events, where bins hold counts) of each recording that counted for its answer.
        surprises: of each recording's hidden activity, see :mod:`gemsnn.scoring.familiar`; none where what is familiar
            is not known.
        input_surprises: of what came in, likewise.
        weights: the SHA-256 of the network's weights, where it is known.
        fitted_on: in words.
        assumes: what the promise rests on, in words.
    """

    format: Literal[3]
    risk: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    score: ScoreName
    rule: Rule
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None
    recordings: Natural
    compartments: Annotated[int, msgspec.Meta(ge=1)]
    decoder: Decoder
    seed: Natural
    temperature: Positive
    begin: Natural
    checkpoints: tuple[Natural, ...]
    temperatures: tuple[Positive, ...]
    reference: tuple[tuple[float, ...], ...]
    own: tuple[float, ...]
    limits: tuple[float | None, ...]
    scores: tuple[float, ...]
    set_limits: tuple[float | None, ...]
    doubts: tuple[float, ...]
    came: tuple[Natural, ...]
    surprises: tuple[float, ...]
    input_surprises: tuple[float, ...]
    weights: str | None
    fitted_on: str
    assumes: tuple[str, ...]

    @property
    def promise(self) -> str:
        """In words."""
        of = "of the recordings of each class on average" if self.by_class else "of recordings on average"
        end = f"At the end of a recording the right class is missing from the set in at most {self.risk:.3g} {of}"
        if self.rule == "answers":
            return (
                f"With a confidence of {self.confidence:.3g}, at most {self.risk:.3g} of the recordings that are "
                f"answered as soon as one class is left are answered wrongly. {end}."
            )
        what = {
            "single": "and a recording that is answered as soon as one class is left is answered wrongly, or left "
            f"with a set without the right class, in at most {self.risk:.3g} of recordings",
            "any": "and at whatever moment anybody stops looking it is missing in at most "
            f"{self.risk:.3g} of recordings",
            "spikecp": "and at every moment at which a recording may be answered it is missing in at most "
            f"{self.risk:.3g} of recordings",
        }[self.rule]
        return f"{end}, {what}."

    @property
    def by_class(self) -> bool:
        """Whether sets at the end keep the promise for the recordings of each class by itself."""
        return len(self.set_limits) > 1

    @property
    def digest(self) -> str:
        """Its own SHA-256."""
        return digest_of(msgspec.to_builtins(self))

    def check(self, compartments: int, decoder: str, seed: int) -> None:
        """Raise :class:`InputError` where answers are others than those that the certificate is about."""
        if (compartments, decoder, seed) != (self.compartments, self.decoder, self.seed):
            raise InputError(
                f"the certificate is about {self.compartments} compartments that answer by {self.decoder} from seed "
                f"{self.seed} at temperature {self.temperature:.3g}, not about {compartments} by {decoder} from seed "
                f"{seed}; certify these"
            )
