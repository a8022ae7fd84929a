"""Retrieval scores (R@k, xsim) with the settings that they depend on."""

import dataclasses
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from espnet_samu.retrieval.nearest import TILE, Neighbours, UnitVectors, search
from espnet_samu.retrieval.pools import EmbeddingPool, content_key
from espnet_samu.scoring.inputs import AVERAGE


def recall_at_1(
    student: np.ndarray, teacher: np.ndarray, langs: Sequence[str] | None = None
) -> dict[str, float]:
    """Compute R@1 between utterances and their texts within each language.

    The same numbers as `score_retrieval`'s: utterances whose teacher embeddings are
    equal, bit by bit, have the same text, which is one candidate (or query) only; a
    wrong candidate that is exactly as near as the right one counts as nearer.

    Args:
        student: Utterance embeddings (N, D).
        teacher: Sentence embedding of each utterance's text (N, D).
        langs: Language of each utterance, N strings; one pool by default.

    Returns:
        `r1_speech_text`, `r1_text_speech` (means over languages) and `r1`, their mean;
        0 to 1.

    Raises:
        ValueError: For numbers of utterances that differ or are zero, sizes D that
            differ, an embedding that is zero or not finite (named by its row).
    """
    langs = ["all"] * len(student) if langs is None else langs
    if not len(student) == len(teacher) == len(langs) > 0:
        raise ValueError(
            f"need equal numbers of utterances, at least one: student {len(student)}, "
            f"teacher {len(teacher)}, langs {len(langs)}"
        )
    by_lang: dict[str, list[int]] = {}
    for row, lang in enumerate(langs):
        by_lang.setdefault(lang, []).append(row)
    to_text, to_speech = [], []
    for rows in by_lang.values():
        names = [f"row {row}" for row in rows]
        numbers: dict[bytes, int] = {}
        keys = [content_key(teacher[row]) for row in rows]
        texts = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
        first = np.unique(texts, return_index=True)[1]
        forward, backward, _ = search(
            UnitVectors(student[rows], names, "student"),
            UnitVectors(teacher[rows][first], [names[i] for i in first], "teacher"),
            texts,
            np.arange(len(first)),
        )
        to_text.append(float(np.mean(forward.rank == 1)))
        to_speech.append(float(np.mean(backward.rank == 1)))
    r1 = {"r1_speech_text": fmean(to_text), "r1_text_speech": fmean(to_speech)}
    return {**r1, "r1": fmean(r1.values())}


MARGINS = ("absolute", "ratio", "distance")


def similarity_error(
    forward: Neighbours,
    backward: Neighbours,
    query_texts: np.ndarray,
    pool_texts: np.ndarray,
    margin: str,
) -> float:
    """Compute xsim: the share of queries whose best-scored candidate is wrong.

    With x a query, y one of its k nearest candidates, and a(.) the mean cosine of a
    vector to its k nearest neighbours on the other side, the score is cos(x, y)
    (absolute), cos(x, y) / b (ratio) or cos(x, y) - b (distance), where
    b = (a(x) + a(y)) / 2; 0 / 0 is 0. The absolute margin needs no k. Queries without
    a match are left out; as neighbours of candidates they count.

    Reference:
        Artetxe and Schwenk, "Margin-based Parallel Corpus Mining with Multilingual
        Sentence Embeddings", ACL 2019, Eq. 2-3; LASER, `source/xsim.py`.

    Args:
        forward: Neighbours of the N queries in the pool.
        backward: Neighbours of the M candidates among the queries.
        query_texts: Number of each query's text (N,).
        pool_texts: Number of each candidate's text (M,).
        margin: One of `MARGINS`.

    Returns:
        Error in %.

    Raises:
        ValueError: For an unknown margin.
    """
    if margin not in MARGINS:
        raise ValueError(f"margin must be one of {MARGINS}: {margin!r}")
    matched = forward.rank > 0
    if margin == "absolute":
        return 100.0 * float(np.mean(forward.rank[matched] > 1))
    ax = forward.cosine.mean(axis=1, keepdims=True)  # (N, 1)
    ay = backward.cosine.mean(axis=1)[forward.index]  # (N, k)
    b = (ax + ay) / 2
    if margin == "distance":
        score = forward.cosine - b
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            score = forward.cosine / b
        # 0 / 0 of unrelated vectors: not a number, which would never be wrong.
        score[(forward.cosine == 0) & (b == 0)] = 0.0
    right = pool_texts[forward.index] == query_texts[:, None]
    best_right = np.where(right, score, -np.inf).max(axis=1)
    best_wrong = np.where(right, -np.inf, score).max(axis=1)
    return 100.0 * float(np.mean((best_right <= best_wrong)[matched]))


MEASURES = ("r1", "r5", "r10", "mrr", "cosine", "xsim")
"""Fields that are averaged over languages."""


@dataclasses.dataclass(frozen=True)
class RetrievalScore:
    """Scores of queries of one language against one pool, with settings."""

    lang: str
    """Language of the queries; "average" for the mean over pairs of languages."""
    target_lang: str
    """Language of the pool; often the same one."""
    direction: str
    """`speech-text`, `text-speech` or `speech-speech`: query, then pool."""
    queries: int
    """Number of queries."""
    dropped: int
    """Number of queries that were left out because nothing in the pool matches."""
    pool: int
    """Number of candidates that every query is compared with."""
    r1: float
    """Share of queries whose match is the nearest candidate, 0 to 1."""
    r5: float
    """Share of queries whose match is among the 5 nearest, 0 to 1."""
    r10: float
    """Share of queries whose match is among the 10 nearest, 0 to 1."""
    mrr: float
    """Mean of 1 / rank of the match, 0 to 1."""
    cosine: float
    """Mean cosine over all pairs of a query and a match."""
    xsim: float
    """LASER's similarity error under `margin`, in %."""
    margin: str
    """Margin of xsim: absolute, ratio or distance."""
    k: int
    """Neighbours that the margin is computed from."""

    @property
    def is_cross_lingual(self) -> bool:
        """Whether query and pool are of different languages."""
        return self.lang != self.target_lang

    @property
    def settings(self) -> str:
        """What does not change with language and direction."""
        return f"same_text:right|ties:wrong|sim:cosine|margin:{self.margin}|k:{self.k}"

    @property
    def signature(self) -> str:
        """Return all settings in one string, as sacreBLEU's signature."""
        target = f"|target_lang:{self.target_lang}" if self.is_cross_lingual else ""
        dropped = f"|dropped:{self.dropped}" if self.dropped else ""
        return (
            f"direction:{self.direction}|lang:{self.lang}{target}"
            f"|queries:{self.queries}{dropped}|pool:{self.pool}|{self.settings}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and the signature, for JSON."""
        return {**dataclasses.asdict(self), "signature": self.signature}


def group_by_direction(
    scores: Iterable[RetrievalScore],
) -> dict[str, list[RetrievalScore]]:
    """Return scores by direction."""
    groups: dict[str, list[RetrievalScore]] = {}
    for score in scores:
        groups.setdefault(score.direction, []).append(score)
    return groups


@dataclasses.dataclass
class RetrievalResult:
    """Scores, and the language pairs that could not be scored."""

    scores: list[RetrievalScore] = dataclasses.field(default_factory=list)
    """One score for every pair of languages and direction."""
    without_match: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """`direction`, `lang`, `target_lang`, `queries` where no query has a match."""
    failed: list[str] = dataclasses.field(default_factory=list)
    """Utterances that have no embedding, and are neither queries nor candidates."""

    def extend(self, other: "RetrievalResult") -> None:
        """Append the results of other tests."""
        self.scores += other.scores
        self.without_match += other.without_match

    def add_without_match(self, queries: EmbeddingPool, pool: EmbeddingPool) -> None:
        """Record queries that all lack a match in the pool."""
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
        """Return the mean over language pairs of each direction.

        `queries` and `dropped` are summed, `pool` is the mean size, rounded.
        """
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
            for direction, scores in group_by_direction(self.scores).items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON, averages last among the scores."""
        return {
            "scores": [score.to_dict() for score in [*self.scores, *self.averages()]],
            "without_match": self.without_match,
            "failed": self.failed,
        }


def score_pair(
    a: EmbeddingPool, b: EmbeddingPool, margin: str, k: int, tile: int = TILE
) -> RetrievalResult:
    """Score retrieval from pool `b` with pool `a`, and the reverse.

    Queries without a match are left out, but are candidates and neighbours.

    Args:
        a: One pool.
        b: The other pool.
        margin: Margin of xsim, one of `MARGINS`.
        k: Neighbours for the margin; less where a pool is smaller.
        tile: Queries and candidates compared at a time.

    Returns:
        Scores of both directions, or both in `without_match`.

    Raises:
        ValueError: For an unknown margin, k < 1, embeddings of two sizes.
    """
    if margin not in MARGINS:
        raise ValueError(f"margin must be one of {MARGINS}: {margin!r}")
    if k < 1:
        raise ValueError(f"k must be at least 1: {k}")
    result = RetrievalResult()
    if not np.isin(a.contents, b.contents).any():
        result.add_without_match(a, b)
        result.add_without_match(b, a)
        return result
    k = min(k, len(a.vectors), len(b.vectors))
    forward, backward, cosine = search(
        a.vectors, b.vectors, a.contents, b.contents, k, tile
    )
    for queries, pool, found, reverse in (
        (a, b, forward, backward),
        (b, a, backward, forward),
    ):
        rank = found.rank[found.rank > 0]
        result.scores.append(
            RetrievalScore(
                lang=queries.lang,
                target_lang=pool.lang,
                direction=f"{queries.kind}-{pool.kind}",
                queries=len(rank),
                dropped=len(found.rank) - len(rank),
                pool=len(pool.vectors),
                r1=float(np.mean(rank <= 1)),
                r5=float(np.mean(rank <= 5)),
                r10=float(np.mean(rank <= 10)),
                mrr=float(np.mean(1.0 / rank)),
                cosine=cosine,
                xsim=similarity_error(
                    found, reverse, queries.contents, pool.contents, margin
                ),
                margin=margin,
                k=k,
            )
        )
    return result


def score_retrieval(
    pairs: Iterable[tuple[EmbeddingPool, EmbeddingPool]],
    margin: str = "ratio",
    k: int = 4,
) -> RetrievalResult:
    """Score retrieval between the pools of each pair, in both directions.

    Args:
        pairs: Pairs of pools.
        margin: Margin of xsim, one of `MARGINS`.
        k: Neighbours for the margin.

    Raises:
        ValueError: As `score_pair`.
    """
    result = RetrievalResult()
    for a, b in pairs:
        result.extend(score_pair(a, b, margin, k))
    return result
