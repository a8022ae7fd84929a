"""Paired bootstrap test of systems against a baseline."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

from sacrebleu.significance import PairedTest

from espnet_samu.scoring.system_result import Direction
from espnet_samu.scoring.translation import MetricSettings

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
    """Probability of such a difference by chance; None for the baseline itself."""


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
        return {
            "baseline": self.baseline,
            "directions": {
                direction: {
                    name: {f: dataclasses.asdict(s) for f, s in fields.items()}
                    for name, fields in systems.items()
                }
                for direction, systems in self.scores.items()
            },
            "signatures": {key: dict(table) for key, table in self.signatures.items()},
        }

    def rows(self) -> Iterator[tuple[str, str, Mapping[str, PairedScore]]]:
        """Yield system, direction and scores by field, the baseline first."""
        for direction, systems in self.scores.items():
            for name, fields in systems.items():
                yield name, direction, fields


def _check_seed() -> None:
    """Check the seed that sacreBLEU reads from the environment.

    Raises:
        ValueError: For seeds that sacreBLEU takes for none at all: 0 and "none".
    """
    seed = os.environ.get("SACREBLEU_SEED", str(SEED))
    if not (seed.isdecimal() and int(seed)):
        raise ValueError(
            f"SACREBLEU_SEED must be a number from 1, or unset for {SEED}: {seed!r}"
        )


def paired_bootstrap(
    baseline: str,
    systems: Mapping[str, Mapping[str, str]],
    refs: Mapping[str, str],
    directions: Mapping[str, Direction],
    settings: MetricSettings = MetricSettings(),
    samples: int = 1000,
) -> Significance:
    """Test every system against the baseline, as `sacrebleu --paired-bs` does.

    The seed is that of the environment variable SACREBLEU_SEED, as for the command.
    Means over directions are not tested.

    Reference:
        Koehn, "Statistical Significance Tests for Machine Translation Evaluation",
        EMNLP 2004.

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
    _check_seed()
    order = [baseline, *(name for name in systems if name != baseline)]
    scores: dict[str, dict[str, dict[str, PairedScore]]] = {}
    signatures: dict[str, dict[str, str]] = {}
    for key, direction in directions.items():
        ids = direction.utterances
        metrics = settings.make_metrics([refs[u] for u in ids], direction.target)
        test = PairedTest(
            [(name, [systems[name][utt] for utt in ids]) for name in order],
            metrics,
            references=None,  # the metrics have them
            test_type="bs",
            n_samples=samples,
        )
        signs, results = test()
        # sacreBLEU names the columns BLEU, chrF2, TER, in the order of the metrics.
        columns = dict(zip(metrics, signs, strict=True))
        signatures[key] = {field: str(signs[c]) for field, c in columns.items()}
        scores[key] = {
            name: {
                field: PairedScore(
                    score=float(results[column][i].score),
                    mean=float(results[column][i].mean),
                    ci=float(results[column][i].ci),
                    p_value=results[column][i].p_value,
                )
                for field, column in columns.items()
            }
            for i, name in enumerate(order)
        }
    return Significance(baseline, scores, signatures)
