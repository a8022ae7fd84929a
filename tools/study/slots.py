"""Slot words of one utterance."""

from collections.abc import Collection

from espnet_samu.scoring.translation import longest_common_subsequence, words


def count_slots(hyp: str, ref: str, slot_words: Collection[str]) -> tuple[int, int]:
    """Count slot words as `slot_accuracy` does.

    Args:
        hyp: Translation.
        ref: Reference.
        slot_words: Words that count, in any case.

    Returns:
        Slot words of the reference that the translation has, in order; and all of
        them.
    """
    vocabulary = {word for slot in slot_words for word in words(slot)}
    wanted, given = (
        [word for word in words(text) if word in vocabulary] for text in (ref, hyp)
    )
    return longest_common_subsequence(wanted, given), len(wanted)
