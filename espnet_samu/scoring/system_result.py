"""All scores of one translation system."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from espnet_samu.scoring.score_row import METRICS, ScoreRow
from espnet_samu.scoring.transfer_gap import group_languages, transfer_gap
from espnet_samu.scoring.translation import score_translation


@dataclasses.dataclass(frozen=True)
class SystemResult:
    """Scores of one system, means first."""

    name: str
    """Name of the system."""
    means: tuple[ScoreRow, ...]
    """Supervised, zero-shot, resource groups, average: those that are defined."""
    directions: tuple[ScoreRow, ...]
    """One row a source language, or a direction where targets differ."""
    trf_gap: float | None
    """Mean BLEU of group high minus group low; None without such groups."""

    def to_dict(self) -> dict[str, Any]:
        """Return nested tables, for JSON."""
        return {
            "means": {row.name: row.to_dict() for row in self.means},
            "directions": {row.name: row.to_dict() for row in self.directions},
            "trf_gap": self.trf_gap,
        }


def score_system(
    name: str,
    hyps: Mapping[str, str],
    refs: Mapping[str, str],
    utt2lang: Mapping[str, str],
    utt2tgt_lang: Mapping[str, str],
    train_langs: Collection[str] | None = None,
    groups: Mapping[str, str] | None = None,
    slot_words: Collection[str] = (),
    retrieval: Mapping[str, tuple[float, str]] | None = None,
) -> SystemResult:
    """Score a system by direction, and the means over directions.

    Args:
        name: Name of the system.
        hyps: Hypothesis of every utterance.
        refs: Reference of every utterance; decides which utterances are scored.
        utt2lang: Source language of every utterance.
        utt2tgt_lang: Target language of every utterance.
        train_langs: Source languages with translations in training; None, no
            difference is made between supervised and zero-shot languages.
        groups: Resource group of every source language.
        slot_words: Words for the slot accuracy.
        retrieval: R@1 (speech to text) and its settings, by source language.
    """
    several = len({utt2tgt_lang[utt] for utt in refs}) > 1
    utts: dict[tuple[str, str], list[str]] = {}
    for utt in refs:
        utts.setdefault((utt2lang[utt], utt2tgt_lang[utt]), []).append(utt)

    rows: dict[str, ScoreRow] = {}
    langs: dict[str, str] = {}
    for source, target in sorted(utts):
        ids = utts[source, target]
        scores = score_translation(
            [hyps[utt] for utt in ids], [refs[utt] for utt in ids], target, slot_words
        )
        values: dict[str, float | None] = dict.fromkeys(METRICS)
        values.update({metric: score.value for metric, score in scores.items()})
        signatures = {metric: score.signature for metric, score in scores.items()}
        if retrieval is not None and source in retrieval:
            values["r1"], signatures["r1"] = retrieval[source]
        key = f"{source}-{target}" if several else source
        langs[key] = source
        rows[key] = ScoreRow(key, len(ids), values, signatures)

    sets: dict[str, list[str]] = {}
    if train_langs is not None:
        sets["supervised"] = [key for key in rows if langs[key] in train_langs]
        sets["zero-shot"] = [key for key in rows if langs[key] not in train_langs]
    by_group = group_languages(langs, groups or {})
    sets.update(by_group)
    if train_langs is None or groups:
        sets["average"] = list(rows)
    means = {
        mean: ScoreRow.mean(mean, [rows[key] for key in keys])
        for mean, keys in sets.items()
        if keys
    }
    bleu = {g: v for g in by_group if (v := means[g].values["bleu"]) is not None}
    return SystemResult(
        name, tuple(means.values()), tuple(rows.values()), transfer_gap(bleu)
    )
