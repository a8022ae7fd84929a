"""Cross-modal retrieval: does an utterance find its text, and the text it."""

from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean

import numpy as np

from espnet_samu.scoring.neighbours import (
    BLOCK_ELEMENTS,
    Neighbours,
    normalize,
    search,
)
from espnet_samu.scoring.retrieval_score import RetrievalScore

MARGINS = ("absolute", "ratio", "distance")
DIRECTIONS = ("speech-text", "text-speech")
AVERAGE = "average"


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
    b = (a(x) + a(y)) / 2. The absolute margin needs no k.

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
    if margin == "absolute":
        return 100.0 * float(np.mean(forward.rank > 1))
    ax = forward.cosine.mean(axis=1, keepdims=True)  # (N, 1)
    ay = backward.cosine.mean(axis=1)[forward.index]  # (N, k)
    b = (ax + ay) / 2
    score = forward.cosine / b if margin == "ratio" else forward.cosine - b
    right = pool_texts[forward.index] == query_texts[:, None]
    best_right = np.where(right, score, -np.inf).max(axis=1)
    best_wrong = np.where(right, -np.inf, score).max(axis=1)
    return 100.0 * float(np.mean(best_right <= best_wrong))


def score_language(
    speech: np.ndarray,
    text: np.ndarray,
    texts: Sequence[Hashable],
    lang: str = "all",
    margin: str = "ratio",
    k: int = 4,
    block_elements: int = BLOCK_ELEMENTS,
) -> list[RetrievalScore]:
    """Score retrieval among the utterances of one language, in both directions.

    The text side has one candidate (or query) for every distinct text; the speech side
    has every utterance, and each one with the right text is a match.

    Args:
        speech: Utterance embeddings (N, D).
        text: Sentence embedding of each utterance's text (N, D).
        texts: What makes two texts the same, N strings (or other keys).
        lang: Name of the language.
        margin: Margin of xsim, one of `MARGINS`.
        k: Neighbours for the margin; less where the pool is smaller.
        block_elements: Similarities held at a time.

    Returns:
        The scores of `DIRECTIONS`.

    Raises:
        ValueError: For an empty language, sizes that differ, an unknown margin, k < 1.
    """
    if not len(speech) == len(text) == len(texts) > 0:
        raise ValueError(
            f"need equal numbers of utterances, at least one, for '{lang}': speech "
            f"{len(speech)}, text {len(text)}, texts {len(texts)}"
        )
    if speech.ndim != 2 or text.shape[1:] != speech.shape[1:]:
        raise ValueError(
            f"embeddings must be (N, D) of one size D: speech {speech.shape}, "
            f"text {text.shape}"
        )
    if margin not in MARGINS:
        raise ValueError(f"margin must be one of {MARGINS}: {margin!r}")
    if k < 1:
        raise ValueError(f"k must be at least 1: {k}")
    speech, text = normalize(speech), normalize(text)
    cosine = float(np.einsum("nd,nd->n", speech, text, dtype=np.float64).mean())
    number: dict[Hashable, int] = {}
    speech_texts = np.array([number.setdefault(t, len(number)) for t in texts])
    first = np.unique(speech_texts, return_index=True)[1]
    candidates, text_texts = text[first], np.arange(len(first))
    k = min(k, len(candidates))

    to_text = search(speech, candidates, speech_texts, text_texts, k, block_elements)
    to_speech = search(candidates, speech, text_texts, speech_texts, k, block_elements)
    scores = []
    for direction, found, reverse, query_texts, pool_texts in (
        (DIRECTIONS[0], to_text, to_speech, speech_texts, text_texts),
        (DIRECTIONS[1], to_speech, to_text, text_texts, speech_texts),
    ):
        scores.append(
            RetrievalScore(
                lang=lang,
                direction=direction,
                queries=len(query_texts),
                pool=len(pool_texts),
                r1=float(np.mean(found.rank <= 1)),
                r5=float(np.mean(found.rank <= 5)),
                r10=float(np.mean(found.rank <= 10)),
                mrr=float(np.mean(1.0 / found.rank)),
                cosine=cosine,
                xsim=similarity_error(found, reverse, query_texts, pool_texts, margin),
                margin=margin,
                k=k,
            )
        )
    return scores


def average(scores: Sequence[RetrievalScore]) -> RetrievalScore:
    """Return the mean over languages of one direction.

    `queries` is summed, `pool` is the mean size, rounded.

    Args:
        scores: One score for every language, of the same direction and margin.
    """
    means = {
        name: fmean(getattr(score, name) for score in scores)
        for name in ("r1", "r5", "r10", "mrr", "cosine", "xsim")
    }
    return RetrievalScore(
        lang=AVERAGE,
        direction=scores[0].direction,
        queries=sum(score.queries for score in scores),
        pool=round(fmean(score.pool for score in scores)),
        margin=scores[0].margin,
        k=min(score.k for score in scores),
        **means,
    )


def score_retrieval(
    speech: Mapping[str, np.ndarray],
    text: Mapping[str, np.ndarray],
    utt2lang: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    margin: str = "ratio",
    k: int = 4,
) -> list[RetrievalScore]:
    """Score retrieval of every language for itself, then the average over languages.

    Args:
        speech: Utterance embedding (D,) of every utterance.
        text: Sentence embedding (D,) of at least the same utterances.
        utt2lang: Language of every utterance; all are one pool by default.
        texts: Text of every utterance. By default utterances with the same sentence
            embedding, bit by bit, have the same text.
        margin: Margin of xsim, one of `MARGINS`.
        k: Neighbours for the margin.

    Returns:
        Scores by language (sorted) and direction, then the averages.

    Raises:
        ValueError: Naming utterances that a table misses.
    """
    tables = {"target": text, "query_lang": utt2lang, "target_text": texts}
    for name, table in tables.items():
        missing = [utt for utt in speech if table is not None and utt not in table]
        if missing:
            raise ValueError(
                f"{name} misses {len(missing)} of {len(speech)} query utterances: "
                f"{' '.join(missing[:5])}"
            )
    by_lang: dict[str, list[str]] = {}
    for utt in speech:
        by_lang.setdefault(utt2lang[utt] if utt2lang else "all", []).append(utt)
    scores = []
    for lang in sorted(by_lang):
        utts = by_lang[lang]
        same = [texts[utt] if texts else text[utt].tobytes() for utt in utts]
        scores += score_language(
            np.stack([speech[utt] for utt in utts]),
            np.stack([text[utt] for utt in utts]),
            same,
            lang,
            margin,
            k,
        )
    averages = [
        average([score for score in scores if score.direction == direction])
        for direction in DIRECTIONS
    ]
    return scores + averages
