"""Everything that a study found."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Any

from espnet_samu.scoring.translation import SlotWords
from study.arm_runs import ArmRuns
from study.arms import Comparison
from study.estimate import Correlation, correlate
from study.resampling import METRICS, ZERO_SHOT, Resampling, StudySet, bleu_metric
from study.run_file import RunUtterance
from study.set_scores import Outcome, SetScores, judge, score_set


def make_floor(
    utterances: Sequence[RunUtterance],
    texts: Mapping[str, str],
    slot_words: Collection[str] = (),
) -> list[RunUtterance]:
    """Return the floor's translations of the utterances of a test set.

    Args:
        utterances: The utterances, as any system translated them.
        texts: The floor's translation by utterance; it may have others, too.
        slot_words: Words that the slot accuracy counts; none, it is not known.

    Raises:
        ValueError: For an utterance without a translation.
    """
    missing = [utt.id for utt in utterances if utt.id not in texts]
    if missing:
        raise ValueError(
            f"--floor must have every utterance; {len(missing)} are not in it, e.g. "
            f"'{missing[0]}'"
        )
    slots = SlotWords(slot_words)
    return [
        RunUtterance.of(utt.id, utt.lang, utt.ref, texts[utt.id], slots)
        for utt in utterances
    ]


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


FORMAT = 1
"""Number of the layout of results.json."""


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """How the figures are computed."""

    supervised: tuple[str, ...]
    """Languages with translations in training."""
    zero_shot: tuple[str, ...]
    """Languages without."""
    comparisons: tuple[Comparison, ...]
    """The registered comparisons."""
    samples: int
    """Number of resampled sets."""
    seed: int
    """Seed of the draws."""
    seen_seeds: tuple[int, ...] = ()
    """Seeds that were seen, in part, before the comparisons were registered."""
    main_set: str = "test"
    """Test set that the registered comparisons are about."""
    baselines: tuple[str, ...] = ()
    """Arms that every other one is compared with."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Further arms to compare, and with which."""
    metrics: tuple[str, ...] = METRICS
    """What is scored, BLEU first."""
    shown: tuple[str, ...] = ()
    """Arms that stand beside those of the comparisons in the first table."""


@dataclasses.dataclass(frozen=True)
class StudyResults:
    """What a study found, and of which runs."""

    options: StudyOptions
    """How it was computed."""
    arms: Sequence[ArmRuns]
    """All arms with all runs."""
    sets: Mapping[str, SetScores]
    """Figures by test set, the main one first."""
    outcomes: Sequence[Outcome]
    """What became of the registered comparisons."""
    fresh: Sequence[Outcome]
    """The same without the seeds that were seen before; none where no seed was, or no
    other one is there."""
    replicated: Sequence[Outcome]
    """Those that have a replication, over its seeds alone; none where no run of it is
    there."""
    pooled: Sequence[Outcome]
    """Those, over the planned seeds and the replication's."""
    points: Mapping[str, Sequence[RetrievalPoint]]
    """R@1 and BLEU of the runs that have both, by scope."""
    without_retrieval: Mapping[str, Sequence[int]]
    """Seeds without R@1, by arm."""
    correlations: Mapping[str, Correlation]
    """Correlation of R@1 and BLEU by scope."""
    signature: str
    """Settings of BLEU."""

    @property
    def main(self) -> SetScores:
        """Figures of the main test set."""
        return self.sets[self.options.main_set]

    def machines(self) -> list[str]:
        """Return the classes of the machines that the runs were made on."""
        return sorted({run.machine for arm in self.arms for run in arm.runs.values()})

    def versions(self) -> dict[str, list[str]]:
        """Return the versions of each package that the runs were made with."""
        versions: dict[str, set[str]] = {}
        for arm in self.arms:
            for run in arm.runs.values():
                for package, version in run.versions.items():
                    versions.setdefault(package, set()).add(version)
        return {package: sorted(found) for package, found in sorted(versions.items())}

    def to_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {
            "format": FORMAT,
            "settings": {
                "supervised": [*self.options.supervised],
                "zero_shot": [*self.options.zero_shot],
                "samples": self.options.samples,
                "seed": self.options.seed,
                "bleu": self.signature,
                "interval": "contents drawn, the part of seeds from Student's t",
                "percentile": "contents and seeds drawn",
                "effect_size": "Cohen's d, pooled over the seeds of both arms",
            },
            "machines": self.machines(),
            "versions": self.versions(),
            "primary": [outcome.to_dict() for outcome in self.outcomes],
            "primary_fresh_seeds": {
                "without_seeds": [*self.options.seen_seeds],
                "comparisons": [outcome.to_dict() for outcome in self.fresh],
            },
            "replication": [outcome.to_dict() for outcome in self.replicated],
            "with_replication": [outcome.to_dict() for outcome in self.pooled],
            "arms": {arm.name: arm.to_dict() for arm in self.arms},
            "sets": {name: scores.to_dict() for name, scores in self.sets.items()},
            "retrieval": {
                "runs": {
                    scope: [dataclasses.asdict(point) for point in points]
                    for scope, points in self.points.items()
                },
                "without": dict(self.without_retrieval),
                "correlation": {k: v.to_dict() for k, v in self.correlations.items()},
            },
        }


def _judge_again(
    resampling: Resampling, arms: Sequence[ArmRuns], options: StudyOptions
) -> dict[str, list[Outcome]]:
    """Judge the registered comparisons with other seeds than the planned ones.

    Returns:
        Outcomes by field of `StudyResults`.
    """

    def judge_with(
        seeds: Mapping[str, Sequence[int]], chosen: Sequence[Comparison]
    ) -> list[Outcome]:
        """Judge comparisons as if only these seeds of these arms were there."""
        some = [arm.with_seeds(seeds[arm.name]) for arm in arms if arm.name in seeds]
        scores = score_set(resampling, some, [(c.arm, c.against) for c in chosen])
        return judge(chosen, scores, options.zero_shot) if scores.differences else []

    registered, seen = options.comparisons, options.seen_seeds
    compared = {name for c in registered for name in (c.arm, c.against)}
    primary = [arm for arm in arms if arm.name in compared]
    fresh = {a.name: [s for s in a.planned if s not in seen] for a in primary if seen}
    again = {a.name: a.replication for a in primary if a.replication}
    chosen = [c for c in registered if {c.arm, c.against} <= {*again}]
    replicated = judge_with(again, chosen)
    both = {a.name: (*a.planned, *a.replication) for a in primary if a.name in again}
    return {
        "fresh": judge_with(fresh, registered),
        "replicated": replicated,
        "pooled": judge_with(both, chosen) if replicated else [],
    }


def analyse(
    arms: Sequence[ArmRuns],
    options: StudyOptions,
    floor: Mapping[str, str] | None = None,
    slot_words: Collection[str] = (),
) -> StudyResults:
    """Compute everything.

    Args:
        arms: All arms with all runs.
        options: How.
        floor: The template floor's translation of every utterance.
        slot_words: Words that the slot accuracy of the floor counts.

    Raises:
        ValueError: Where no run of the main test set has finished; for runs whose
            utterances differ; a floor without some utterance.
    """
    first = {}
    for arm in arms:
        for run in arm.finished.values():
            for name, utterances in run.utterances.items():
                if utterances:
                    first.setdefault(name, utterances)
    main_set = options.main_set
    if main_set not in first:
        raise ValueError(f"no run with utterances of '{main_set}' has finished")
    registered = [(one.arm, one.against) for one in options.comparisons]
    sets = {}
    for name in sorted(first, key=lambda name: (name != main_set, name)):
        resampling = Resampling(
            StudySet.from_utterances(name, first[name]),
            options.supervised,
            options.zero_shot,
            options.samples,
            options.seed,
            options.metrics,
        )
        floors = None if floor is None else make_floor(first[name], floor, slot_words)
        sets[name] = score_set(
            resampling, arms, registered, floors, options.baselines, options.pairs
        )
        if name == main_set:
            again = _judge_again(resampling, arms, options)
    main = sets[main_set]
    missing = [lang for lang in options.zero_shot if lang not in main.languages]
    if missing:
        raise ValueError(
            f"--zero_shot must be languages of '{main_set}', {[*main.languages]}: "
            f"{missing}"
        )
    points, without = collect_points(arms, main, options.zero_shot)
    metric = bleu_metric()
    metric.corpus_score(["a"], [["a"]])  # the number of references is known then
    return StudyResults(
        options=options,
        arms=arms,
        sets=sets,
        outcomes=judge(options.comparisons, main, options.zero_shot),
        **again,
        points=points,
        without_retrieval=without,
        correlations={
            scope: correlate(
                [point.r1 for point in found],
                [point.bleu for point in found],
                [point.arm for point in found],
                options.samples,
            )
            for scope, found in points.items()
        },
        signature=str(metric.get_signature()),
    )
