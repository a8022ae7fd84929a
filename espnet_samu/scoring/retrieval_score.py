"""The result of one retrieval test."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class RetrievalScore:
    """How well queries of one language find their match, and how it was measured."""

    lang: str
    """Language of the pool; "average" for the mean over languages."""
    direction: str
    """`speech-text` or `text-speech`: query, then pool."""
    queries: int
    """Number of queries."""
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
    """Mean cosine between an utterance and its own text."""
    xsim: float
    """LASER's similarity error under `margin`, in %."""
    margin: str
    """Margin of xsim: absolute, ratio or distance."""
    k: int
    """Neighbours that the margin is computed from."""

    @property
    def settings(self) -> str:
        """What does not change with language and direction."""
        return f"same_text:right|ties:wrong|sim:cosine|margin:{self.margin}|k:{self.k}"

    @property
    def signature(self) -> str:
        """All settings in one string, in the manner of sacreBLEU."""
        return (
            f"direction:{self.direction}|lang:{self.lang}|queries:{self.queries}"
            f"|pool:{self.pool}|{self.settings}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and the signature, for JSON."""
        return {**dataclasses.asdict(self), "signature": self.signature}
