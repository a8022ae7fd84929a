"""Translation directions: which utterances are scored together."""

import dataclasses
from collections.abc import Iterable, Mapping


@dataclasses.dataclass(frozen=True)
class Direction:
    """Utterances of one source language and one target language."""

    name: str
    """`source-target`, or only the source language where targets are the same."""
    source: str
    """Source language."""
    target: str
    """Target language."""
    utterances: tuple[str, ...]
    """Ids, in the order of the references."""


def split_directions(
    utts: Iterable[str], utt2lang: Mapping[str, str], utt2tgt_lang: Mapping[str, str]
) -> dict[str, Direction]:
    """Sort utterances by direction.

    Args:
        utts: Ids of the references.
        utt2lang: Source language of every utterance.
        utt2tgt_lang: Target language of every utterance.

    Returns:
        Directions by their name, sorted by source and target language.
    """
    members: dict[tuple[str, str], list[str]] = {}
    for utt in utts:
        members.setdefault((utt2lang[utt], utt2tgt_lang[utt]), []).append(utt)
    several = len({target for _, target in members}) > 1
    directions: dict[str, Direction] = {}
    for source, target in sorted(members):
        name = f"{source}-{target}" if several else source
        ids = tuple(members[source, target])
        directions[name] = Direction(name, source, target, ids)
    return directions
