"""Pools of the directions of retrieval, and which of them are compared."""

from collections.abc import Container, Hashable, Iterable, Mapping
from itertools import combinations, product

import numpy as np

from espnet_samu.scoring.embedding_pool import (
    EmbeddingPool,
    content_key,
    make_pools,
)

ALL = "all"
"""Language of everything where languages are not told apart."""
Pairs = list[tuple[EmbeddingPool, EmbeddingPool]]


def check_complete(
    utts: Iterable[str], tables: Mapping[str, Container[str] | None], whose: str
) -> None:
    """Check that every table that is given has all utterances.

    Args:
        utts: Utterances.
        tables: Tables by name.
        whose: What the utterances are, for messages.

    Raises:
        ValueError: Naming table and utterances.
    """
    utts = list(utts)
    for name, table in tables.items():
        missing = [utt for utt in utts if table is not None and utt not in table]
        if missing:
            raise ValueError(
                f"{name} misses {len(missing)} of {len(utts)} {whose} utterances: "
                f"{' '.join(missing[:5])}"
            )


def pair_speech_text(
    speech: Mapping[str, np.ndarray],
    text: Mapping[str, np.ndarray],
    utt2lang: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    query_texts: Mapping[str, str] | None = None,
    text2lang: Mapping[str, str] | None = None,
) -> Pairs:
    """Pair pools of speech with pools of text.

    By default the texts are those of the same utterances, and every language is paired
    with itself. With `text2lang` every language of speech is paired with every language
    of text; with `query_texts` the texts may be of other utterances.

    Args:
        speech: Utterance embedding (D,) of every utterance.
        text: Sentence embeddings (D,), of at least the same utterances or, with
            `query_texts`, of any.
        utt2lang: Language of every utterance of `speech`; "all" by default.
        texts: What the texts say. By default texts of the same sentence embedding, bit
            by bit, are the same.
        query_texts: What every utterance of `speech` is to find among `texts`.
        text2lang: Language of every text.

    Returns:
        Pairs of speech and text, languages sorted.

    Raises:
        ValueError: Naming utterances that a table misses or whose embedding is zero or
            not finite; for `query_texts` without `texts`.
    """
    own = {"target_text": texts, "target_lang": text2lang}
    tables: dict[str, Container[str] | None] = {"query_lang": utt2lang}
    contents: Mapping[str, Hashable] | None
    if query_texts is None:
        text_utts, contents = list(speech), texts
        check_complete(speech, {"target": text, **tables, **own}, "query")
        if contents is None:
            contents = texts = {utt: content_key(text[utt]) for utt in speech}
    elif texts is None:
        raise ValueError("query_text needs target_text, in which it is looked for")
    else:
        text_utts, contents = list(text), query_texts
        check_complete(speech, {**tables, "query_text": query_texts}, "query")
        check_complete(text, own, "target")
    utt2lang = utt2lang or dict.fromkeys(speech, ALL)
    within = query_texts is None and text2lang is None
    if text2lang is None:
        text2lang = utt2lang if within else dict.fromkeys(text, ALL)
    numbers: dict[Hashable, int] = {}
    voices = make_pools("speech", speech, utt2lang, contents, numbers, speech, "query")
    sentences = make_pools("text", text, text2lang, texts, numbers, text_utts, "target")
    if within:
        return [(voices[lang], sentences[lang]) for lang in voices]
    return [*product(voices.values(), sentences.values())]


def pair_speech_speech(
    speech: Mapping[str, np.ndarray],
    utt2lang: Mapping[str, str],
    contents: Mapping[str, str],
) -> Pairs:
    """Pair utterances of every two languages.

    Args:
        speech: Utterance embedding (D,) of every utterance.
        utt2lang: Language of every utterance.
        contents: What every utterance says, equal across languages.

    Returns:
        Pairs of languages, sorted; none for a single language.

    Raises:
        ValueError: Naming utterances that a table misses or whose embedding is zero or
            not finite.
    """
    check_complete(speech, {"query_lang": utt2lang, "content": contents}, "query")
    pools = make_pools("speech", speech, utt2lang, contents, {}, speech, "query")
    return [*combinations(pools.values(), 2)]
