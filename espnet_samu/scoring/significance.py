"""Two-sided paired bootstrap test of systems against a baseline."""

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import estimate_ci

from espnet_samu.scoring.directions import Direction
from espnet_samu.scoring.translation import (
    MetricSettings,
    compute_score,
    extract_statistics,
)

DRAWN = 1 << 20  # utterances drawn at a time: 8 MB
TOLERANCE = 1e-9  # of scores: equal ones differ by rounding
DEFAULT_SAMPLES = 1000
TEST = "two-sided paired bootstrap"
LEAST_SAMPLES = 40  # one of them is outside a 95 % interval on each side
SEED = 12345  # sacreBLEU's


@dataclasses.dataclass(frozen=True)
class PairedScore:
    """Score with confidence interval, and its test against the baseline."""

    score: float
    """Score of the whole set."""
    mean: float
    """Mean over the resampled sets."""
    ci: float
    """Half the 95 % interval of the resampled sets, which is `mean` ± `ci`."""
    p_value: float | None
    """Probability of such a difference by chance, two-sided; None where there is
    nothing to test: the baseline itself, and resampled sets that all are alike."""


@dataclasses.dataclass(frozen=True)
class Significance:
    """Tests of all systems against a baseline, in every direction."""

    baseline: str
    """Name of the system that the others are compared to."""
    scores: Mapping[str, Mapping[str, Mapping[str, PairedScore]]]
    """Scores by direction, system and field of the metric."""
    signatures: Mapping[str, Mapping[str, str]]
    """Settings by direction and field: sacreBLEU's, with seed and samples."""

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> "Significance":
        """Return the tests from the tables of `to_dict`."""
        scores = {
            direction: {
                name: {field: PairedScore(**score) for field, score in fields.items()}
                for name, fields in systems.items()
            }
            for direction, systems in table["directions"].items()
        }
        return cls(table["baseline"], scores, table["signatures"])

    def to_dict(self) -> dict[str, Any]:
        """Return nested tables, for JSON."""
        table = dataclasses.asdict(self)
        return {
            "baseline": self.baseline,
            "test": TEST,
            "directions": table["scores"],
            "signatures": table["signatures"],
        }

    def describe(self) -> str:
        """Return what was done, in a sentence for the tables."""
        first = next(iter(next(iter(self.signatures.values())).values()))
        sets = re.search(r"\|bs:(\d+)", first)
        return (
            f"{TEST} against {self.baseline}: p is the share of "
            f"{sets[1] if sets else 'all'} resampled sets whose difference is as far "
            "from the observed one as that is from 0 (1: equal scores; -: nothing to "
            f"test); {self.tests} tests, p not corrected for their number; means are "
            "not tested"
        )

    @property
    def tests(self) -> int:
        """Number of p-values."""
        return sum(
            score.p_value is not None
            for _, _, fields in self.rows()
            for score in fields.values()
        )

    def rows(self) -> Iterator[tuple[str, str, Mapping[str, PairedScore]]]:
        """Yield system, direction and scores by field, the baseline first."""
        for direction, systems in self.scores.items():
            for name, fields in systems.items():
                yield name, direction, fields


def _read_seed() -> int:
    """Return the seed that sacreBLEU reads from the environment.

    Raises:
        ValueError: For seeds that sacreBLEU takes for none at all: 0 and "none".
    """
    seed = os.environ.get("SACREBLEU_SEED", str(SEED))
    if not (seed.isdecimal() and int(seed)):
        raise ValueError(
            f"SACREBLEU_SEED must be a number from 1, or unset for {SEED}: {seed!r}"
        )
    return int(seed)


def resample(
    metrics: Mapping[str, Metric],
    statistics: Sequence[Mapping[str, np.ndarray]],
    samples: int,
    seed: int,
) -> list[dict[str, np.ndarray]]:
    """Score resampled sets, the same ones for all systems: those of sacreBLEU.

    Args:
        metrics: Metrics by field.
        statistics: Statistics (N, K) by field of each system.
        samples: Number of sets.
        seed: Seed.

    Returns:
        Scores (samples,) by field of each system.
    """
    size = len(next(iter(statistics[0].values())))
    rng = np.random.default_rng(seed)
    scores = [{field: np.empty(samples) for field in metrics} for _ in statistics]
    step = max(1, DRAWN // size)
    for start in range(0, samples, step):
        drawn = rng.choice(size, size=(min(step, samples - start), size))
        for row, ids in enumerate(drawn, start):
            weights = np.bincount(ids, minlength=size).astype(np.float64)
            for table, own in zip(scores, statistics):
                for field, metric in metrics.items():
                    total = weights @ own[field]
                    table[field][row] = compute_score(metric, total).score
    return scores


def two_sided_p(difference: float, resampled: np.ndarray, size: int) -> float | None:
    """Return the share of sets as far from the difference as that is from 0.

    The spread of the resampled differences about the observed one estimates that of
    the observed one about the true one, which is 0 by hypothesis; the variance of N
    resampled utterances is too small by (N - 1) / N, which is corrected.

    Args:
        difference: Observed difference of two scores.
        resampled: Differences of the resampled sets (S,).
        size: Number of utterances N.

    Returns:
        Two-sided p-value, 1 / (S + 1) at least; 1 where the scores are equal, None
        where they differ by as much in every set, which says nothing about chance.
    """
    if abs(difference) <= TOLERANCE:
        return 1.0
    if np.ptp(resampled) <= TOLERANCE:
        return None
    spread = np.abs(resampled - difference) * np.sqrt(size / (size - 1))
    far = spread >= abs(difference) - TOLERANCE
    return float((far.sum() + 1) / (len(resampled) + 1))


def paired_bootstrap(
    baseline: str,
    systems: Mapping[str, Mapping[str, str]],
    refs: Mapping[str, str],
    directions: Mapping[str, Direction],
    settings: MetricSettings = MetricSettings(),
    samples: int = DEFAULT_SAMPLES,
) -> Significance:
    """Test every system against the baseline.

    Sets are resampled as by `sacrebleu --paired-bs`, and means and intervals are the
    same as its. The p-values are not: its test is one-sided. The seed is that of the
    environment variable SACREBLEU_SEED, as for the command. Means over directions are
    not tested.

    Reference:
        Koehn, "Statistical Significance Tests for Machine Translation Evaluation",
        EMNLP 2004. Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
        Sec. 16.

    Args:
        baseline: Name of the system to compare to.
        systems: Hypotheses of every utterance, by system.
        refs: Reference of every utterance.
        directions: Utterances of every direction.
        settings: Which scores, and how.
        samples: Number of resampled sets.

    Raises:
        ValueError: For a baseline that is not among two or more systems, too few
            samples, and a seed that would not be one.
    """
    if baseline not in systems or len(systems) < 2:
        raise ValueError(
            f"baseline must be one of two or more systems {[*systems]}: '{baseline}'"
        )
    if samples < LEAST_SAMPLES:
        raise ValueError(f"samples must be at least {LEAST_SAMPLES}: {samples}")
    seed = _read_seed()
    order = [baseline, *(name for name in systems if name != baseline)]
    scores: dict[str, dict[str, dict[str, PairedScore]]] = {}
    signatures: dict[str, dict[str, str]] = {}
    for key, direction in directions.items():
        ids = direction.utterances
        assert direction.target is not None  # split_directions knows it
        metrics = settings.make_metrics(direction.target)
        own = [refs[utt] for utt in ids]
        statistics = [
            {
                field: extract_statistics(m, [systems[name][utt] for utt in ids], own)
                for field, m in metrics.items()
            }
            for name in order
        ]
        resampled = resample(metrics, statistics, samples, seed)
        signatures[key] = {
            field: str(m.get_signature()).replace(
                "nrefs:1", f"nrefs:1|bs:{samples}|seed:{seed}", 1
            )
            for field, m in metrics.items()
        }
        scores[key] = {}
        for i, name in enumerate(order):
            scores[key][name] = {}
            for field, metric in metrics.items():
                score, base = (
                    float(compute_score(metric, statistics[j][field].sum(axis=0)).score)
                    for j in (i, 0)
                )
                mean, ci = estimate_ci(resampled[i][field])
                differences = resampled[i][field] - resampled[0][field]
                p = two_sided_p(score - base, differences, len(ids)) if i else None
                scores[key][name][field] = PairedScore(score, float(mean), float(ci), p)
    return Significance(baseline, scores, signatures)
