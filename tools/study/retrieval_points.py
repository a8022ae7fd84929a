"""R@1 of an encoder beside the BLEU of the translation model made of it."""

import dataclasses
from collections.abc import Sequence
from statistics import fmean

from study.arm_runs import ArmRuns
from study.resampling import ZERO_SHOT
from study.set_scores import SetScores


@dataclasses.dataclass(frozen=True)
class RetrievalPoint:
    """One run."""

    arm: str
    """Its arm."""
    seed: int
    """Its seed."""
    r1: float
    """R@1, speech to text, 0 to 1; the mean over languages for the scope of a mean."""
    bleu: float
    """BLEU of the same languages."""


def collect_points(
    arms: Sequence[ArmRuns], scores: SetScores, zero_shot: Sequence[str]
) -> tuple[dict[str, list[RetrievalPoint]], dict[str, list[int]]]:
    """Pair R@1 and BLEU of all runs that have both.

    Args:
        arms: All arms.
        scores: Figures of a test set.
        zero_shot: Languages without translations in training.

    Returns:
        Points by scope (the mean over the zero-shot languages, each of these), and by
        arm the seeds that finished but have no R@1.
    """
    languages = [lang for lang in zero_shot if lang in scores.languages]
    scopes = {ZERO_SHOT: languages, **{lang: [lang] for lang in languages}}
    points: dict[str, list[RetrievalPoint]] = {scope: [] for scope in scopes}
    without: dict[str, list[int]] = {}
    for arm in arms:
        for seed, run in arm.finished.items():
            table = (run.retrieval or {}).get(scores.name, {})
            if arm.name not in scores.arms or not {*languages} <= {*table}:
                without.setdefault(arm.name, []).append(seed)
                continue
            for scope, members in scopes.items():
                estimate = scores.arms[arm.name][scope]["bleu"]
                if estimate is not None and seed in estimate.by_seed:
                    r1 = fmean(table[lang] for lang in members)
                    bleu = estimate.by_seed[seed]
                    points[scope].append(RetrievalPoint(arm.name, seed, r1, bleu))
    return points, without
