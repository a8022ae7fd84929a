"""Translation directions of utterances, and entries of tables for a direction.

Training data, retrieval scores, groups and published figures name directions or source
languages in codes of their own; :func:`find_entry` finds the entry for a direction.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from espnet_samu.utils.language_codes import merge_spellings, parse_code

T = TypeVar("T")
Pair = tuple[str, str | None]
"""Source and target language; None: any target language."""


@dataclasses.dataclass(frozen=True)
class Direction:
    """Utterances of one source and one target language."""

    name: str
    """`source-target`, or only the source language where targets are the same."""
    source: str
    """Source language."""
    target: str | None
    """Target language; None in results of an earlier version, which name none."""
    utterances: tuple[str, ...] = ()
    """Ids, in the order of the references."""


def split_directions(
    utts: Iterable[str], utt2lang: Mapping[str, str], utt2tgt_lang: Mapping[str, str]
) -> dict[str, Direction]:
    """Return the utterances by direction.

    Spellings of one code (`FR`, `fr`; `zh_CN`, `zh-CN`) are one language, under the
    most frequent of its names.

    Args:
        utts: Ids of the references.
        utt2lang: Source language of every utterance.
        utt2tgt_lang: Target language of every utterance.

    Returns:
        Directions by their name, sorted by source and target language.
    """
    utts = [*utts]
    (sources,) = merge_spellings(
        "source languages", {utt: utt2lang[utt] for utt in utts}
    )
    (targets,) = merge_spellings(
        "target languages", {utt: utt2tgt_lang[utt] for utt in utts}
    )
    members: dict[tuple[str, str], list[str]] = {}
    for utt in utts:
        members.setdefault((sources[utt], targets[utt]), []).append(utt)
    several = len({target for _, target in members}) > 1
    directions: dict[str, Direction] = {}
    for source, target in sorted(members):
        name = f"{source}-{target}" if several else source
        ids = tuple(members[source, target])
        directions[name] = Direction(name, source, target, ids)
    return directions


_CODE = r"_*[a-z]{2,3}(?:[-_][A-Z][a-z]{3})?(?:[-_](?:[A-Z]{2}|\d{3}))?_*"
_DIRECTION = re.compile(f"({_CODE})-({_CODE})")


def parse_pair(name: str, languages: Iterable[str] = ()) -> Pair:
    """Return source and target of `fr-en`, the source alone of `fr` or `zh-CN`.

    `fr:en` is the direction, too: the form for codes that have a region in lower case
    (`nan-tw:en`).

    Args:
        name: Language or direction.
        languages: Languages that are known: a code of them is no direction.

    Raises:
        ValueError: One side of the colon is empty, or there are several colons.
    """
    source, colon, target = name.partition(":")
    if colon:
        if not (source and target) or ":" in target:
            raise ValueError(f"need SOURCE:TARGET: '{name}'")
        return source, target
    if parse_code(name) not in map(parse_code, languages):
        # Without a capital there is no telling a region from a language.
        lower = name if any(map(str.islower, name)) else name.lower()
        match = _DIRECTION.fullmatch(lower)
        if match is not None:
            return match[1], match[2]
    return name, None


def find_entry(
    source: str, target: str | None, entries: Mapping[Pair, T], where: str
) -> T | None:
    """Return what a table has for a direction; a region makes no other language.

    An entry of equal codes takes precedence over one of the same languages, a direction
    over a source language alone. Another script of the target (zh-TW, zh-CN) is another
    language.

    Args:
        source: Source language.
        target: Target language; None: not known, only entries of the source alone fit.
        entries: What the table has, by direction or source language.
        where: The table, for messages.

    Returns:
        The entry; None where there is none.

    Raises:
        ValueError: Several entries fit as well and differ.
    """
    found: dict[int, dict[Pair, T]] = {}
    for pair, value in entries.items():
        rank = _rank(source, target, pair)
        if rank:
            found.setdefault(rank, {})[pair] = value
    if not found:
        return None
    best = found[max(found)]
    first, *others = best.values()
    if any(other != first for other in others):
        names = ", ".join(name_pair(pair) for pair in best)
        raise ValueError(
            f"{where}: which one is meant for {name_pair((source, target))}: {names}?"
        )
    return first


def _rank(source: str, target: str | None, pair: Pair) -> int:
    """Return how well an entry fits a direction; 0: not at all."""
    ours, theirs = parse_code(source), parse_code(pair[0])
    if ours.language != theirs.language:
        return 0
    rank = 1 + (ours == theirs)
    if pair[1] is None:
        return rank
    if target is None:
        return 0
    ours, theirs = parse_code(target), parse_code(pair[1])
    same = ours.language == theirs.language and ours.script == theirs.script
    return 2 + rank + (ours == theirs) if same else 0


def name_pair(pair: Pair) -> str:
    """Return the readable name of a direction, or of a source language alone."""
    return pair[0] if pair[1] is None else f"{pair[0]} to {pair[1]}"


def parse_train_langs(text: str, directions: Iterable[Direction]) -> dict[Pair, bool]:
    """Return the directions of the training translations.

    Args:
        text: Source languages (into every target language) or directions, separated by
            blanks or commas.
        directions: What is scored; a source language of it is no direction.

    Returns:
        True by source and target language.
    """
    languages = [direction.source for direction in directions]
    items = text.replace(",", " ").split()
    return {parse_pair(item, languages): True for item in items}
