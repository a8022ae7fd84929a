"""What knowing the template, and nothing of the content, is worth."""

from collections.abc import Collection, Mapping, Sequence

from espnet_samu.scoring.translation import exact_match
from study.run_utterance import RunUtterance
from study.slots import count_slots


def make_floor(
    utterances: Sequence[RunUtterance],
    texts: Mapping[str, str],
    slot_words: Collection[str] = (),
) -> list[RunUtterance]:
    """Return the floor's translations of the utterances of a test set.

    Args:
        utterances: The utterances, as any system translated them.
        texts: The floor's translation by utterance; it may have others, too.
        slot_words: Words that the slot accuracy counts; none, it is not known.

    Raises:
        ValueError: For an utterance without a translation.
    """
    missing = [utt.id for utt in utterances if utt.id not in texts]
    if missing:
        raise ValueError(
            f"--floor must have every utterance; {len(missing)} are not in it, e.g. "
            f"'{missing[0]}'"
        )
    floor = []
    for utt in utterances:
        hyp = texts[utt.id]
        right, slots = count_slots(hyp, utt.ref, slot_words)
        floor.append(
            RunUtterance(
                id=utt.id,
                lang=utt.lang,
                ref=utt.ref,
                hyp=hyp,
                exact=int(exact_match([hyp], [utt.ref]).value),
                slots_right=right,
                slots=slots,
            )
        )
    return floor
