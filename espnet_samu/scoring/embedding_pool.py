"""The embeddings of one language that are searched, or searched with."""

import dataclasses
import hashlib
from collections.abc import Hashable, Iterable, Mapping

import numpy as np

from espnet_samu.scoring.unit_vectors import UnitVectors


@dataclasses.dataclass(frozen=True)
class EmbeddingPool:
    """N embeddings of one language, of speech or of text."""

    kind: str
    """`speech` or `text`."""
    lang: str
    """Language."""
    vectors: UnitVectors
    """The embeddings (N, D)."""
    contents: np.ndarray
    """Number of what each one says `(N,)`: equal numbers match."""


def content_key(embedding: np.ndarray) -> bytes:
    """Return what makes two sentence embeddings the same: every bit of them."""
    return hashlib.blake2b(embedding.tobytes(), digest_size=16).digest()


def make_pools(
    kind: str,
    table: Mapping[str, np.ndarray],
    langs: Mapping[str, str],
    contents: Mapping[str, Hashable],
    numbers: dict[Hashable, int],
    utts: Iterable[str],
    label: str,
) -> dict[str, EmbeddingPool]:
    """Sort embeddings into one pool for every language.

    A text that several utterances share is one candidate; speech always differs.

    Args:
        kind: `speech` or `text`.
        table: Embedding (D,) of every utterance.
        langs: Language of every utterance.
        contents: What every utterance says.
        numbers: Number of every content; new ones are added.
        utts: Utterances to take.
        label: What the embeddings are, for messages.

    Returns:
        Pools by language, sorted.

    Raises:
        ValueError: Naming an utterance whose embedding is zero or not finite.
    """
    members: dict[str, dict[Hashable, str]] = {}  # utterance by what makes it another
    for utt in utts:
        key = contents[utt] if kind == "text" else utt
        members.setdefault(langs[utt], {}).setdefault(key, utt)
    pools = {}
    for lang in sorted(members):
        names = [*members[lang].values()]
        pools[lang] = EmbeddingPool(
            kind,
            lang,
            UnitVectors(np.stack([table[utt] for utt in names]), names, label),
            np.array([numbers.setdefault(contents[u], len(numbers)) for u in names]),
        )
    return pools
