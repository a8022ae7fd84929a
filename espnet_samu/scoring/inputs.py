"""Input files and options shared by score_st and report."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence

from espnet_samu.scoring.directions import Pair
from espnet_samu.utils.kaldi_io import read_failures, read_text

NAMED = 5  # ids named in a message
AVERAGE = "average"
"""Name of a mean over languages."""
ALL = "all"
"""Language of everything where languages are not told apart."""


def parse_pairs(option: str, items: Sequence[str]) -> dict[str, str]:
    """Split items NAME=VALUE at the first `=`.

    Args:
        option: Name of the option, for messages.
        items: What was given.

    Raises:
        ValueError: For an item without name or `=`, and a name given twice.
    """
    table: dict[str, str] = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not (name and separator):
            raise ValueError(f"--{option} must be NAME=VALUE: {item!r}")
        if name in table:
            raise ValueError(f"--{option} has '{name}' twice")
        table[name] = value
    return table


def name_ids(ids: Sequence[str]) -> str:
    """Return the number of ids and the first few."""
    more = " ..." if len(ids) > NAMED else ""
    return f"{len(ids)} utterances ({' '.join(ids[:NAMED])}{more})"


def match_hypotheses(
    name: str,
    hyps: Mapping[str, str],
    refs: Mapping[str, str],
    allow_missing: bool = False,
    allow_extra: bool = False,
    failed: Collection[str] = (),
) -> dict[str, str]:
    """Return one hypothesis for every reference.

    Args:
        name: Name of the system, for messages.
        hyps: Hypotheses by utterance, in any order.
        refs: References by utterance.
        allow_missing: Count missing hypotheses as empty ones.
        allow_extra: Leave out hypotheses without a reference.
        failed: Utterances whose decoding failed: their hypotheses are empty ones.

    Raises:
        ValueError: Naming ids that are missing or extra.
    """
    missing = [utt for utt in refs if utt not in hyps and utt not in failed]
    extra = [utt for utt in hyps if utt not in refs]
    for ids, what, allowed, option in (
        (missing, "misses hypotheses", allow_missing, "allow_missing"),
        (extra, "has hypotheses without a reference", allow_extra, "allow_extra"),
    ):
        if ids and not allowed:
            raise ValueError(
                f"system '{name}' {what} for {name_ids(ids)}; see --{option}"
            )
        if ids:
            logging.warning(f"system '{name}' {what} for {name_ids(ids)}")
    matched = {utt: hyps.get(utt, "") for utt in refs}
    empty = [utt for utt, hyp in matched.items() if not hyp]
    if empty:
        logging.warning(f"system '{name}' has empty hypotheses: {name_ids(empty)}")
    return matched


def read_failed(path: str, refs: Mapping[str, str]) -> list[str]:
    """Read the ids of references that a system failed to decode.

    Args:
        path: Hypotheses; ``failed.scp`` of the decoding may be beside them.
        refs: References by utterance.
    """
    failed = read_failures(path)
    return [utt for utt in refs if utt in failed]


def read_values(path: str, refs: Mapping[str, str]) -> dict[str, str]:
    """Read a value (e.g. a language) for every reference.

    Args:
        path: Kaldi text file `utt_id value`.
        refs: References by utterance.

    Raises:
        ValueError: Naming utterances of the references that the file misses.
    """
    values = read_text(path, allow_empty=False)
    missing = [utt for utt in refs if utt not in values]
    if missing:
        raise ValueError(f"{path} misses {name_ids(missing)}")
    return values


def read_target_languages(
    path: str | None, tgt_lang: str, refs: Mapping[str, str]
) -> dict[str, str]:
    """Read the target language of every reference.

    Args:
        path: Kaldi text file `utt_id lang`; None, `tgt_lang` is that of all.
        tgt_lang: Target language without such a file.
        refs: References by utterance.
    """
    return dict.fromkeys(refs, tgt_lang) if path is None else read_values(path, refs)


def read_retrieval(path: str) -> dict[Pair, tuple[float, str]]:
    """Read R@1 of speech to text and its settings, by language of speech and text.

    Args:
        path: retrieval.json of score_retrieval.

    Returns:
        R@1 and settings. The key is the language of the speech alone where the text is
        of the same language, a transcript, or of any one.

    Raises:
        ValueError: For a file that score_retrieval did not write.
    """
    with open(path, encoding="utf-8-sig") as f:
        try:
            scores = [
                (s["lang"], s.get("target_lang", s["lang"]), s["r1"], s["signature"])
                for s in json.load(f)["scores"]
                if s["direction"] == "speech-text" and s["lang"] != AVERAGE
            ]
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as e:
            raise ValueError(
                f"{path}: not a retrieval.json of score_retrieval: {e!r}"
            ) from None
    return {
        (lang, None if target in (lang, ALL) else target): (
            r1,
            signature.replace(f"|lang:{lang}|", "|"),
        )
        for lang, target, r1, signature in scores
    }
