"""What became of a comparison that was registered before the runs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from study.comparison import Comparison, adjust
from study.difference import Difference
from study.resampling import ZERO_SHOT
from study.set_scores import Differences, SetScores

HOLDS, NOT_TESTED = "holds", "not tested"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A registered comparison with its figures."""

    comparison: Comparison
    """The comparison."""
    languages: tuple[str, ...]
    """Zero-shot languages, each of which is looked at by itself, too."""
    differences: Differences | None
    """Differences by scope and metric; None where an arm has no run."""
    p_adjusted: float | None
    """P-value of the mean over the languages, adjusted for the comparisons' number."""

    @property
    def mean(self) -> Difference | None:
        """Difference of the mean BLEU over the zero-shot languages: what counts."""
        return self.find(ZERO_SHOT)

    def find(self, scope: str, metric: str = "bleu") -> Difference | None:
        """Return the difference of a language or mean."""
        if self.differences is None:
            return None
        return self.differences[scope][metric]

    def verdict(self, scope: str = ZERO_SHOT) -> str:
        """Return holds, refuted, undecided or not tested, of BLEU."""
        difference = self.find(scope)
        return NOT_TESTED if difference is None else difference.verdict

    def shortfalls(self) -> dict[str, str]:
        """Return the verdict by scope wherever it is not that the comparison holds."""
        verdicts = {s: self.verdict(s) for s in (ZERO_SHOT, *self.languages)}
        return {scope: text for scope, text in verdicts.items() if text != HOLDS}

    def to_dict(self) -> dict[str, Any]:
        """Return verdicts and BLEU, for JSON."""
        scopes = (ZERO_SHOT, *self.languages)
        found = {scope: self.find(scope) for scope in scopes}
        return {
            **dataclasses.asdict(self.comparison),
            "verdict": {scope: self.verdict(scope) for scope in scopes},
            "bleu": {s: None if d is None else d.to_dict() for s, d in found.items()},
            "p_adjusted": self.p_adjusted,
        }


def judge(
    comparisons: Sequence[Comparison], scores: SetScores, zero_shot: Sequence[str]
) -> list[Outcome]:
    """Say what became of the registered comparisons.

    Args:
        comparisons: The comparisons.
        scores: Figures of the test set that they are about.
        zero_shot: Languages without translations in training.
    """
    languages = tuple(lang for lang in zero_shot if lang in scores.languages)
    found = [scores.differences.get((one.arm, one.against)) for one in comparisons]
    means = [None if table is None else table[ZERO_SHOT]["bleu"] for table in found]
    # One that is not tested yet is one of the family as well.
    adjusted = adjust([1.0 if mean is None else mean.p_value for mean in means])
    return [
        Outcome(one, languages, table, None if mean is None else p_value)
        for one, table, mean, p_value in zip(comparisons, found, means, adjusted)
    ]
