"""The result of one retrieval test."""

import dataclasses
from typing import Any

MEASURES = ("r1", "r5", "r10", "mrr", "cosine", "xsim")
"""Fields that are averaged over languages."""


@dataclasses.dataclass(frozen=True)
class RetrievalScore:
    """How well queries of one language find their match, and how it was measured."""

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
        """Whether query and pool are of two languages."""
        return self.lang != self.target_lang

    @property
    def settings(self) -> str:
        """What does not change with language and direction."""
        return f"same_text:right|ties:wrong|sim:cosine|margin:{self.margin}|k:{self.k}"

    @property
    def signature(self) -> str:
        """All settings in one string, in the manner of sacreBLEU."""
        target = f"|target_lang:{self.target_lang}" if self.is_cross_lingual else ""
        dropped = f"|dropped:{self.dropped}" if self.dropped else ""
        return (
            f"direction:{self.direction}|lang:{self.lang}{target}"
            f"|queries:{self.queries}{dropped}|pool:{self.pool}|{self.settings}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and the signature, for JSON."""
        return {**dataclasses.asdict(self), "signature": self.signature}
