"""TRFGap: transfer from high-resource to low-resource languages."""

import os
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from espnet_samu.scoring.tokenizers import base_language

LONG_FORM = ["language", "group"]  # header


def read_groups(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read resource groups from a TSV file.

    Either of lines `group<TAB>language language ...`, or with a header line `language
    group` and then one line a language. Empty lines and those that start with `#` are
    skipped.

    Args:
        path: File in UTF-8.

    Returns:
        Group of every language, in the order of the file.

    Raises:
        ValueError: Naming file and line, for a line of another form, a language or (in
            the first form) a group that is given twice; for a file without languages.
    """
    groups: dict[str, str] = {}
    is_long = False
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            fields = line.split()
            if not fields or line.startswith("#"):
                continue
            if fields == LONG_FORM and not groups:
                is_long = True
                continue
            if is_long:
                langs, group = fields[:-1], fields[-1]
            else:
                group, *langs = fields
            if not langs or (is_long and len(langs) > 1):
                form = "language group" if is_long else "group language language ..."
                raise ValueError(f"{path}:{number}: need `{form}`: {line.rstrip()!r}")
            if not is_long and group in groups.values():
                raise ValueError(f"{path}:{number}: group given twice: {group}")
            for lang in langs:
                if lang in groups:
                    raise ValueError(
                        f"{path}:{number}: language given twice: {lang} (lines "
                        "`language group` need the header `language group`)"
                    )
                groups[lang] = group
    if not groups:
        raise ValueError(f"{path}: no language in the file")
    return groups


def find_group(lang: str, groups: Mapping[str, str]) -> str | None:
    """Return the group of a language, None where it has none.

    Args:
        lang: Language; looked up as it is, then without its region (zh-CN, zh).
        groups: Group of every language.
    """
    without_region = {base_language(key): group for key, group in groups.items()}
    return groups.get(lang, without_region.get(base_language(lang)))


def compare_groups(langs: Iterable[str], groups: Mapping[str, str]) -> list[str]:
    """Check that every language has a group.

    Args:
        langs: Source languages that are scored.
        groups: Group of every language.

    Returns:
        Languages of the groups that are not scored.

    Raises:
        ValueError: Naming languages without a group.
    """
    langs = sorted(set(langs))
    unknown = [lang for lang in langs if find_group(lang, groups) is None]
    if unknown:
        raise ValueError(
            f"--groups has no group for the languages {unknown}; it has {[*groups]}"
        )
    scored = {base_language(lang) for lang in langs}
    return [lang for lang in groups if base_language(lang) not in scored]


def describe_groups(groups: Mapping[str, str], lacking: Sequence[str]) -> str:
    """Return a description of the means of groups.

    Args:
        groups: Group of every language.
        lacking: Languages of the groups that are not scored.
    """
    scored = {groups[lang] for lang in groups if lang not in lacking}
    means = ", ".join(g for g in dict.fromkeys(groups.values()) if g in scored)
    text = f"macro means ({means}, average): every language counts the same"
    missing = [f"{lang} ({groups[lang]})" for lang in lacking if groups[lang] in scored]
    missing += [
        f"group {group}"
        for group in dict.fromkeys(groups.values())
        if group not in scored
    ]
    if missing:
        text += f"; without {', '.join(missing)}: no utterances"
    return text


def group_languages(
    langs: Mapping[str, str], groups: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the keys of scores by resource group.

    Args:
        langs: Language of every key.
        groups: Group of every language.

    Returns:
        Keys of every group that has one, groups in their own order.
    """
    members: dict[str, list[str]] = {group: [] for group in groups.values()}
    for key, lang in langs.items():
        group = find_group(lang, groups)
        if group is not None:
            members[group].append(key)
    return {group: keys for group, keys in members.items() if keys}


def group_means(
    scores: Mapping[str, float], groups: Mapping[str, str]
) -> dict[str, float]:
    """Return the macro mean of every resource group.

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
