"""R@1 of arrays, light enough for every epoch of training."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from espnet_samu.scoring.embedding_pool import content_key
from espnet_samu.scoring.search import search
from espnet_samu.scoring.unit_vectors import UnitVectors


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
