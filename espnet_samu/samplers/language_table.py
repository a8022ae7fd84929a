"""Table of what language balancing changes, by language."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from espnet_samu.samplers.balanced_sampler import BalancedSampler
from espnet_samu.scoring.table import format_number, format_table
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.waveform import SAMPLING_RATE

_SAMPLES_PER_HOUR = SAMPLING_RATE * 3600


def describe_languages(
    sampler: BalancedSampler, in_samples: bool
) -> dict[str, dict[str, Any]]:
    """Return figures of each language: hours, utterances, shares.

    Args:
        sampler: The sampler of the training.
        in_samples: Whether the first shape file counts samples at 16 kHz.

    Returns:
        For each language: `hours` (None if not known), `utterances`, `share` in the
        corpus, `expected_share` (P(l)) and `first_epoch_share` of the draws, 0 to 1.
    """
    languages, n_draws = sampler.languages, len(sampler.languages.codes)
    lengths = sampler.shapes.lengths[:, 0]
    samples = np.bincount(languages.codes, weights=lengths)
    columns = zip(
        languages.names,
        samples,
        languages.counts,
        sampler.probabilities,
        sampler.draws.counts(1),
        strict=True,
    )
    return {
        name: {
            "hours": float(n / _SAMPLES_PER_HOUR) if in_samples else None,
            "utterances": int(count),
            "share": float(count / n_draws),
            "expected_share": float(probability),
            "first_epoch_share": float(drawn / n_draws),
        }
        for name, n, count, probability, drawn in columns
    }


def format_languages(languages: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the markdown table of `describe_languages`, largest language first."""
    shares = ("share", "expected_share", "first_epoch_share")
    ordered = sorted(languages.items(), key=lambda item: -item[1]["utterances"])
    rows = [
        [
            name,
            format_number(row["hours"]),
            str(row["utterances"]),
            *(format_number(100 * row[share], 2) for share in shares),
        ]
        for name, row in ordered
    ]
    header = ("language", "hours", "utterances", "%", "% expected", "% in epoch 1")
    return format_table(header, rows)


def save_languages(
    folder: Path, languages: Mapping[str, Mapping[str, Any]], **settings: Any
) -> None:
    """Write `languages.json`, with the settings, and `languages.md`."""
    with atomic_write(folder / "languages.json") as f:
        json.dump({**settings, "languages": languages}, f, indent=2)
        f.write("\n")
    with atomic_write(folder / "languages.md") as f:
        f.write(format_languages(languages))
