"""Pools of embeddings, and the matching of queries and candidates."""

import dataclasses
import hashlib
from collections.abc import Container, Hashable, Iterable, Mapping
from itertools import combinations, product

import numpy as np

from espnet_samu.retrieval.nearest import UnitVectors
from espnet_samu.scoring.inputs import ALL
from espnet_samu.utils.language_codes import merge_spellings


@dataclasses.dataclass(frozen=True)
class EmbeddingPool:
    """Embeddings (N, D) of one language, of speech or text."""

    kind: str
    """`speech` or `text`."""
    lang: str
    """Language."""
    vectors: UnitVectors
    """The embeddings (N, D)."""
    contents: np.ndarray
    """Number of what each one says `(N,)`: equal numbers match."""


def content_key(embedding: np.ndarray) -> bytes:
    """Return a key of a sentence embedding: all of its bits."""
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
    """Return one pool of embeddings for each language.

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
    members: dict[str, dict[Hashable, str]] = {}  # utterance by content key
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


Pairs = list[tuple[EmbeddingPool, EmbeddingPool]]


def check_complete(
    utts: Iterable[str], tables: Mapping[str, Container[str] | None], whose: str
) -> None:
    """Check that every given table has all utterances.

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
    contents: Mapping[str, Hashable]
    text_contents: Mapping[str, Hashable]
    if query_texts is None:
        text_utts = list(speech)
        check_complete(speech, {"target": text, **tables, **own}, "query")
        if texts is None:
            text_contents = {utt: content_key(text[utt]) for utt in speech}
        else:
            text_contents = texts
        contents = text_contents
    elif texts is None:
        raise ValueError("query_text needs target_text, in which it is looked for")
    else:
        text_utts, contents, text_contents = list(text), query_texts, texts
        check_complete(speech, {**tables, "query_text": query_texts}, "query")
        check_complete(text, own, "target")
    utt2lang = utt2lang or dict.fromkeys(speech, ALL)
    within = query_texts is None and text2lang is None
    if text2lang is None:
        text2lang = utt2lang if within else dict.fromkeys(text, ALL)
    utt2lang, text2lang = merge_spellings("speech and texts", utt2lang, text2lang)
    numbers: dict[Hashable, int] = {}
    voices = make_pools("speech", speech, utt2lang, contents, numbers, speech, "query")
    sentences = make_pools(
        "text", text, text2lang, text_contents, numbers, text_utts, "target"
    )
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
    (utt2lang,) = merge_spellings("speech", utt2lang)
    pools = make_pools("speech", speech, utt2lang, contents, {}, speech, "query")
    return [*combinations(pools.values(), 2)]
