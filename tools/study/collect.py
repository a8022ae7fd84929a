"""A finished run, read from its experiment folders."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_samu.scoring.inputs import match_hypotheses
from espnet_samu.scoring.translation import (
    MetricSettings,
    exact_match,
    score_translation,
)
from espnet_samu.utils.kaldi_io import read_text
from study.run_utterance import RunUtterance
from study.slots import count_slots


def read_retrieval(folder: Path, sets: Sequence[str]) -> dict[str, dict[str, float]]:
    """Read R@1, speech to text, by set and language.

    Args:
        folder: Of stage 9; it has <set>/retrieval.json.
        sets: Names of the sets.
    """
    found = {}
    for dset in sets:
        with open(folder / dset / "retrieval.json", encoding="utf-8") as f:
            scores = json.load(f)["scores"]
        found[dset] = {
            score["lang"]: score["r1"]
            for score in scores
            if score["direction"] == "speech-text" and score["lang"] != "average"
        }
    return found


def read_utterances(
    hyps: Mapping[str, str], data_dir: Path, slot_words: Sequence[str]
) -> list[RunUtterance]:
    """Return the translations of one set.

    Args:
        hyps: Translation by utterance; may have those of other sets, too.
        data_dir: Formatted data directory of the set: text.tc.en, utt2lang.
        slot_words: Words that count for slot accuracy.

    Raises:
        ValueError: A translation is missing.
    """
    refs = read_text(data_dir / "text.tc.en", allow_empty=False)
    langs = read_text(data_dir / "utt2lang", allow_empty=False)
    own = {utt: hyps[utt] for utt in refs if utt in hyps}
    matched = match_hypotheses(data_dir.name, own, refs)
    utterances = []
    for utt, ref in refs.items():
        hyp = matched[utt]
        right, slots = count_slots(hyp, ref, slot_words)
        same = int(exact_match([hyp], [ref]).value)
        utterances.append(RunUtterance(utt, langs[utt], ref, hyp, same, right, slots))
    return utterances


def score_utterances(
    utterances: Sequence[RunUtterance], slot_words: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return BLEU, exact match and slot accuracy by language.

    Args:
        utterances: Translations of one set.
        slot_words: Words that count for slot accuracy.
    """
    settings = MetricSettings(metrics=("bleu",), slot_words=tuple(slot_words))
    table: dict[str, dict[str, float]] = {}
    for lang in dict.fromkeys(utt.lang for utt in utterances):
        part = [utt for utt in utterances if utt.lang == lang]
        scores = score_translation(
            [utt.hyp for utt in part], [utt.ref for utt in part], settings=settings
        )
        for name in ("bleu", "exact_match", "slot_accuracy"):
            if name in scores:
                table.setdefault(name, {})[lang] = round(scores[name].value, 4)
    return table


def versions() -> dict[str, str]:
    """Return the versions that the figures of a run depend on."""
    import platform
    from importlib.metadata import version

    names = ("espnet", "espnet_samu", "numpy", "sacrebleu", "torch", "transformers")
    found: dict[str, Any] = {name: version(name) for name in names}
    return {**found, "python": platform.python_version()}
