"""Share of the words that say which content it is."""

import re
from collections.abc import Collection, Sequence

from espnet_samu.scoring.score import Score


def words(text: str) -> list[str]:
    """Return lower-cased words without punctuation, hyphenated ones apart."""
    return re.findall(r"\w+(?:['’]\w+)*", text.casefold())


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest sequence that is in both, in order."""
    row = [0] * (len(b) + 1)
    for x in a:
        previous = row
        row = [0]
        for j, y in enumerate(b):
            row.append(previous[j] + 1 if x == y else max(previous[j + 1], row[j]))
    return row[-1]


def slot_accuracy(
    hyps: Sequence[str], refs: Sequence[str], slot_words: Collection[str]
) -> Score | None:
    """Compute the share of the references' slot words that the hypotheses have.

    Slot words (numbers, months, ...) say which content it is; the rest is template.
    They are taken from both sides in order and matched by the longest common
    subsequence; matches and slot words are summed over the corpus.

    Args:
        hyps: N hypotheses.
        refs: N references.
        slot_words: Words that count, in any case.

    Returns:
        Share, 0 to 1; None when no reference has a slot word.
    """
    vocabulary = {word for slot in slot_words for word in words(slot)}
    matched = total = 0
    for hyp, ref in zip(hyps, refs, strict=True):
        wanted = [word for word in words(ref) if word in vocabulary]
        given = [word for word in words(hyp) if word in vocabulary]
        matched += longest_common_subsequence(wanted, given)
        total += len(wanted)
    if not total:
        return None
    signature = f"nrefs:1|case:lc|punct:no|match:lcs|slotwords:{len(vocabulary)}"
    return Score("slot accuracy", matched / total, signature)
