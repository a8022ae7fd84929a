"""Transfer from languages with much data to languages with little."""

import os
from collections.abc import Mapping
from statistics import fmean

from espnet_samu.scoring.translation import base_language


def read_groups(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read resource groups from a TSV file of lines `language group`.

    Args:
        path: File in UTF-8; lines that start with `#` and a header line `language
            group` are skipped.

    Returns:
        Group of every language, in the order of the file.

    Raises:
        ValueError: Naming file and line, for a wrong number of columns or a language
            that is given twice; for a file without languages.
    """
    groups: dict[str, str] = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            fields = line.split()
            if not fields or line.startswith("#") or fields == ["language", "group"]:
                continue
            if len(fields) != 2:
                raise ValueError(
                    f"{path}:{number}: need two columns, language and group: {fields}"
                )
            if fields[0] in groups:
                raise ValueError(f"{path}:{number}: language given twice: {fields[0]}")
            groups[fields[0]] = fields[1]
    if not groups:
        raise ValueError(f"{path}: no language in the file")
    return groups


def group_languages(
    langs: Mapping[str, str], groups: Mapping[str, str]
) -> dict[str, list[str]]:
    """Sort the keys of scores into resource groups.

    Args:
        langs: Language of every key.
        groups: Group of every language; a language is looked up as it is, then
            without its region (zh-CN, zh).

    Returns:
        Keys of every group that has one, groups in their own order.
    """
    without_region = {base_language(lang): group for lang, group in groups.items()}
    members: dict[str, list[str]] = {group: [] for group in groups.values()}
    for key, lang in langs.items():
        group = groups.get(lang, without_region.get(base_language(lang)))
        if group is not None:
            members[group].append(key)
    return {group: keys for group, keys in members.items() if keys}


def group_means(
    scores: Mapping[str, float], groups: Mapping[str, str]
) -> dict[str, float]:
    """Return the mean score of every resource group.

    Args:
        scores: Score of every language.
        groups: Group of every language.
    """
    members = group_languages({lang: lang for lang in scores}, groups)
    return {g: fmean(scores[lang] for lang in langs) for g, langs in members.items()}


def transfer_gap(
    means: Mapping[str, float], high: str = "high", low: str = "low"
) -> float | None:
    """Return TRFGap, the mean of group `high` minus the mean of group `low`.

    Reference:
        Khurana et al., "Improved Cross-Lingual Transfer Learning For Automatic Speech
        Translation", arXiv 2306.00789.

    Args:
        means: Mean score of every group.
        high: Group of the languages with much data.
        low: Group of the languages with little data.

    Returns:
        Difference of the means; None when a group is not scored.
    """
    if high not in means or low not in means:
        return None
    return means[high] - means[low]
