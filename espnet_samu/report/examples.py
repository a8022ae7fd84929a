"""Sentences drawn at random, with what the systems made of them."""

import dataclasses
import os
import random
from collections.abc import Mapping, Sequence

from espnet_samu.scoring.directions import Direction


@dataclasses.dataclass(frozen=True)
class Example:
    """One utterance."""

    utt: str
    """Its id."""
    direction: Direction
    """Its languages."""
    source: str | None
    """Transcript; None where it is not known."""
    reference: str
    """Reference translation."""
    hypotheses: Mapping[str, str | None]
    """Translation by system; None where there is none."""
    sound: str | os.PathLike[str] | None = None
    """Sound file; None where there is none to hear."""


def draw_examples(
    directions: Mapping[str, Direction],
    refs: Mapping[str, str],
    sources: Mapping[str, str],
    systems: Mapping[str, Mapping[str, str]],
    number: int,
    seed: int,
    sounds: Mapping[str, str | os.PathLike[str]] | None = None,
) -> list[Example]:
    """Draw utterances of every direction.

    Which ones depends on seed, direction and ids: not on the order of files, nor on
    what other directions there are.

    Args:
        directions: Utterances of every direction.
        refs: Reference of every utterance.
        sources: Transcripts; some may lack.
        systems: Hypotheses by system; some may lack.
        number: Utterances a direction, at most.
        seed: Seed.
        sounds: Sound files; some may lack.
    """
    examples = []
    for direction in directions.values():
        ids: Sequence[str] = sorted(direction.utterances)
        # A string as seed gives the same numbers in every process.
        rng = random.Random(f"{seed} {direction.source} {direction.target}")
        for utt in rng.sample(ids, min(number, len(ids))):
            examples.append(
                Example(
                    utt=utt,
                    direction=direction,
                    source=sources.get(utt),
                    reference=refs[utt],
                    hypotheses={name: hyps.get(utt) for name, hyps in systems.items()},
                    sound=(sounds or {}).get(utt),
                )
            )
    return examples
