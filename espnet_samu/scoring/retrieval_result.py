"""The results of retrieval tests."""

import dataclasses
from statistics import fmean
from typing import Any

from espnet_samu.scoring.embedding_pool import EmbeddingPool
from espnet_samu.scoring.retrieval_score import MEASURES, RetrievalScore

AVERAGE = "average"


@dataclasses.dataclass
class RetrievalResult:
    """Scores, and the pairs of languages that could not be scored."""

    scores: list[RetrievalScore] = dataclasses.field(default_factory=list)
    """One score for every pair of languages and direction."""
    without_match: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """`direction`, `lang`, `target_lang`, `queries` where no query has a match."""
    failed: list[str] = dataclasses.field(default_factory=list)
    """Utterances that have no embedding, and are neither queries nor candidates."""

    def extend(self, other: "RetrievalResult") -> None:
        """Add the results of other tests."""
        self.scores += other.scores
        self.without_match += other.without_match

    def add_without_match(self, queries: EmbeddingPool, pool: EmbeddingPool) -> None:
        """Note that no query has a match in the pool."""
        self.without_match.append(
            {
                "direction": f"{queries.kind}-{pool.kind}",
                "lang": queries.lang,
                "target_lang": pool.lang,
                "queries": len(queries.vectors),
            }
        )

    def without_match_by_direction(self) -> dict[str, list[dict[str, Any]]]:
        """Return `without_match` by direction."""
        groups: dict[str, list[dict[str, Any]]] = {}
        for pair in self.without_match:
            groups.setdefault(pair["direction"], []).append(pair)
        return groups

    def averages(self) -> list[RetrievalScore]:
        """Return the mean over pairs of languages of every direction.

        `queries` and `dropped` are summed, `pool` is the mean size, rounded.
        """
        by_direction: dict[str, list[RetrievalScore]] = {}
        for score in self.scores:
            by_direction.setdefault(score.direction, []).append(score)
        return [
            RetrievalScore(
                lang=AVERAGE,
                target_lang=AVERAGE,
                direction=direction,
                queries=sum(score.queries for score in scores),
                dropped=sum(score.dropped for score in scores),
                pool=round(fmean(score.pool for score in scores)),
                margin=scores[0].margin,
                k=min(score.k for score in scores),
                **{
                    name: fmean(getattr(score, name) for score in scores)
                    for name in MEASURES
                },
            )
            for direction, scores in by_direction.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON, averages last among the scores."""
        return {
            "scores": [score.to_dict() for score in [*self.scores, *self.averages()]],
            "without_match": self.without_match,
            "failed": self.failed,
        }
