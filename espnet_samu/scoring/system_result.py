"""Scores of one translation system."""

import dataclasses
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from espnet_samu.scoring.comet import CometScores
from espnet_samu.scoring.directions import Direction, Pair, find_entry, parse_pair
from espnet_samu.scoring.transfer_gap import (
    RESERVED,
    group_languages,
    transfer_gap,
)
from espnet_samu.scoring.translation import MetricSettings, score_translation

METRICS = (
    "bleu",
    "chrf",
    "ter",
    "comet",
    "exact_match",
    "slot_accuracy",
    "r1",
    "length_ratio",
)


@dataclasses.dataclass(frozen=True)
class ScoreRow:
    """Scores of one system on one direction or a set of directions."""

    name: str
    """Language, direction, group, or the name of a mean."""
    utterances: int
    """Number of utterances."""
    empty: int
    """Number of hypotheses without a word among them."""
    values: Mapping[str, float | None]
    """Value of each of `METRICS`; None where it is not known."""
    signatures: Mapping[str, str]
    """Settings of the metrics; empty for a mean."""
    members: tuple[str, ...] = ()
    """Rows that a mean is taken over, each with the same weight."""
    languages: Pair | None = None
    """Source and target language; None for a mean."""

    @property
    def direction(self) -> Direction:
        """The languages of a row that is no mean.

        Results of an earlier version have only names, of a direction or a source
        language.
        """
        return Direction(self.name, *(self.languages or parse_pair(self.name)))

    @classmethod
    def mean(cls, name: str, rows: Sequence["ScoreRow"]) -> "ScoreRow":
        """Return the macro-average of rows; each metric must be known in all.

        Args:
            name: Name of the mean.
            rows: At least one row.
        """
        values: dict[str, float | None] = {}
        for metric in METRICS:
            known = [v for row in rows if (v := row.values[metric]) is not None]
            values[metric] = fmean(known) if len(known) == len(rows) else None
        return cls(
            name=name,
            utterances=sum(row.utterances for row in rows),
            empty=sum(row.empty for row in rows),
            values=values,
            signatures={},
            members=tuple(row.name for row in rows),
        )

    @classmethod
    def from_dict(cls, name: str, table: Mapping[str, Any]) -> "ScoreRow":
        """Return the row from the table of `to_dict`.

        Args:
            name: Name of the row.
            table: Its table.
        """
        return cls(
            name=name,
            utterances=table["utterances"],
            empty=table.get("empty_hypotheses", 0),
            values={metric: table.get(metric) for metric in METRICS},
            signatures=table.get("signatures", {}),
            members=tuple(table.get("mean_of", ())),
            languages=(table["source"], table["target"]) if "source" in table else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields that are not empty, for JSON."""
        table: dict[str, Any] = {
            "utterances": self.utterances,
            "empty_hypotheses": self.empty,
            **self.values,
        }
        if self.signatures:
            table["signatures"] = dict(self.signatures)
        if self.members:
            table["mean_of"] = list(self.members)
        if self.languages is not None:
            table["source"], table["target"] = self.languages
        return table


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

    @classmethod
    def from_dict(cls, name: str, table: Mapping[str, Any]) -> "SystemResult":
        """Return the result from the table of `to_dict`.

        Args:
            name: Name of the system.
            table: Its table.
        """
        means, directions = (
            tuple(ScoreRow.from_dict(key, row) for key, row in table[part].items())
            for part in ("means", "directions")
        )
        return cls(name, means, directions, table["trf_gap"])

    def to_dict(self) -> dict[str, Any]:
        """Return nested tables, for JSON."""
        return {
            "means": {row.name: row.to_dict() for row in self.means},
            "directions": {row.name: row.to_dict() for row in self.directions},
            "trf_gap": self.trf_gap,
        }


def score_direction(
    direction: Direction,
    hyps: Mapping[str, str],
    refs: Mapping[str, str],
    settings: MetricSettings,
    comet: CometScores | None,
) -> ScoreRow:
    """Score a system on one direction.

    Args:
        direction: Utterances and languages.
        hyps: Hypothesis of every utterance.
        refs: Reference of every utterance.
        settings: Which scores, and how.
        comet: COMET of every utterance.
    """
    ids = direction.utterances
    scores = score_translation(
        [hyps[utt] for utt in ids],
        [refs[utt] for utt in ids],
        direction.target,  # type: ignore[arg-type]  # split_directions knows it
        settings,
    )
    if comet is not None:
        scores["comet"] = comet.corpus_score(ids)
    return ScoreRow(
        name=direction.name,
        utterances=len(ids),
        empty=sum(not hyps[utt].strip() for utt in ids),
        values={m: scores[m].value if m in scores else None for m in METRICS},
        signatures={metric: score.signature for metric, score in scores.items()},
        languages=(direction.source, direction.target),
    )


def score_system(
    name: str,
    hyps: Mapping[str, str],
    refs: Mapping[str, str],
    directions: Mapping[str, Direction],
    train_langs: Mapping[Pair, bool] | None = None,
    groups: Mapping[str, str] | None = None,
    settings: MetricSettings = MetricSettings(),
    retrieval: Mapping[Pair, tuple[float, str]] | None = None,
    comet: CometScores | None = None,
) -> SystemResult:
    """Score a system by direction, with means over directions.

    Args:
        name: Name of the system.
        hyps: Hypothesis of every utterance.
        refs: Reference of every utterance.
        directions: Utterances to score, by direction.
        train_langs: True for directions with translations in training, or source
            languages of all directions; None, no difference is made between
            supervised and zero-shot.
        groups: Resource group of every source language or direction.
        settings: Which scores, and how.
        retrieval: R@1 (speech to text) and its settings, by languages of speech and
            text; of speech alone where the text is the transcript.
        comet: COMET of every utterance.
    """
    rows: dict[str, ScoreRow] = {}
    for key, direction in directions.items():
        row = score_direction(direction, hyps, refs, settings, comet)
        pair = direction.source, direction.target
        found = find_entry(*pair, retrieval or {}, f"retrieval of {name}")
        if found is not None:
            r1, signature = found
            row = dataclasses.replace(
                row,
                values={**row.values, "r1": r1},
                signatures={**row.signatures, "r1": signature},
            )
        rows[key] = row

    sets: dict[str, list[str]] = {}
    if train_langs is not None:
        for key, direction in directions.items():
            pair = direction.source, direction.target
            trained = find_entry(*pair, train_langs, "training directions")
            sets.setdefault("supervised" if trained else "zero-shot", []).append(key)
        sets = {name: sets[name] for name in RESERVED if name in sets}
    by_group = group_languages(directions, groups or {})
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
