"""Utterance embeddings of one encoder for the test set."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from espnet_samu.retrieval.pools import pair_speech_speech
from espnet_samu.retrieval.scores import RetrievalScore, score_retrieval
from espnet_samu.utils.kaldi_io import read_vectors
from study.run_utterance import RunUtterance


@dataclasses.dataclass(frozen=True)
class EmbeddingSet:
    """Embeddings of the N utterances of a test set."""

    name: str
    """What the encoder is, say `after distillation`."""
    vectors: np.ndarray
    """Embeddings (N, D)."""
    langs: Sequence[str]
    """Language of each."""
    meanings: Sequence[str]
    """English translation of each: equal ones say the same."""
    utts: Sequence[str]
    """Utterance ids."""

    def retrieve(self) -> list[RetrievalScore]:
        """Search speech of each language among speech of every other one."""
        table = dict(zip(self.utts, self.vectors))
        pairs = pair_speech_speech(
            table,
            dict(zip(self.utts, self.langs)),
            dict(zip(self.utts, self.meanings)),
        )
        return score_retrieval(pairs).scores


def read_embeddings(
    name: str, scp: str | os.PathLike[str], utterances: Sequence[RunUtterance]
) -> EmbeddingSet:
    """Read the embeddings of a test set.

    Args:
        name: What the encoder is.
        scp: embed.scp that samu_embed wrote; it may have other utterances, too.
        utterances: The utterances of the test set.

    Raises:
        ValueError: For an utterance without an embedding.
    """
    table = read_vectors(scp)
    missing = [utt.id for utt in utterances if utt.id not in table]
    if missing:
        raise ValueError(
            f"{scp}: must have every utterance of the test set; {len(missing)} are not "
            f"in it, e.g. '{missing[0]}'"
        )
    return EmbeddingSet(
        name,
        np.stack([table[utt.id] for utt in utterances]),
        [utt.lang for utt in utterances],
        [utt.ref for utt in utterances],
        [utt.id for utt in utterances],
    )
