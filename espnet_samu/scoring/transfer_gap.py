"""TRFGap: transfer from high-resource to low-resource languages."""

import os
from collections.abc import Mapping, Sequence

from espnet_samu.scoring.directions import Direction, find_entry, parse_pair
from espnet_samu.utils.language_codes import LanguageCode, parse_code

LONG_FORM = ["language", "group"]  # header
RESERVED = ("supervised", "zero-shot", "average")
"""Names of means that no group can have."""


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
            the first form) a group that is given twice, a group with the name of
            another mean; for a file without languages.
    """
    groups: dict[str, str] = {}
    codes: set[LanguageCode] = set()
    is_long = False
    with open(path, encoding="utf-8-sig") as f:
        for number, line in enumerate(f, 1):
            fields = line.split()
            if not fields or line.startswith("#"):
                continue
            if [f.casefold() for f in fields] == LONG_FORM and not groups:
                is_long = True
                continue
            if is_long:
                langs, group = fields[:-1], fields[-1]
            else:
                group, *langs = fields
            if not langs or (is_long and len(langs) > 1):
                form = "language group" if is_long else "group language language ..."
                raise ValueError(f"{path}:{number}: need `{form}`: {line.rstrip()!r}")
            folded = {name.casefold(): name for name in groups.values()}
            known = folded.get(group.casefold())
            if known is not None and (not is_long or known != group):
                also = "" if known == group else f" (as {known})"
                raise ValueError(f"{path}:{number}: group given twice: {group}{also}")
            if group.casefold() in RESERVED:
                raise ValueError(
                    f"{path}:{number}: a group cannot be called '{group}', the name of "
                    "another mean"
                )
            for lang in langs:
                if parse_code(lang) in codes:
                    raise ValueError(
                        f"{path}:{number}: language given twice: {lang} (lines "
                        "`language group` need the header `language group`)"
                    )
                groups[lang] = group
                codes.add(parse_code(lang))
    if not groups:
        raise ValueError(f"{path}: no language in the file")
    return groups


def find_group(direction: Direction, groups: Mapping[str, str]) -> str | None:
    """Return the group of a direction, None where it has none.

    Args:
        direction: Direction.
        groups: Group of every source language or direction.

    Raises:
        ValueError: The language is in several groups, by regions other than its own.
    """
    table = {parse_pair(name, [direction.source]): g for name, g in groups.items()}
    return find_entry(direction.source, direction.target, table, "--groups")


def compare_groups(
    directions: Mapping[str, Direction], groups: Mapping[str, str]
) -> list[str]:
    """Check that every direction has a group.

    Args:
        directions: What is scored.
        groups: Group of every source language or direction.

    Returns:
        Languages of the groups that are not scored.

    Raises:
        ValueError: Naming languages without a group or with several ones, and a group
            with the name of a row.
    """
    unknown = [n for n, d in directions.items() if find_group(d, groups) is None]
    if unknown:
        raise ValueError(
            f"--groups has no group for the languages {unknown}; it has {[*groups]}"
        )
    for group in set(groups.values()) & set(directions):
        raise ValueError(f"--groups has a group with the name of a language: '{group}'")
    return [
        name
        for name in groups
        if not any(find_group(d, {name: ""}) == "" for d in directions.values())
    ]


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
    directions: Mapping[str, Direction], groups: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the names of directions by resource group.

    Args:
        directions: Directions by name.
        groups: Group of every source language or direction.

    Returns:
        Names of every group that has one, groups in their own order.
    """
    members: dict[str, list[str]] = {group: [] for group in groups.values()}
    for key, direction in directions.items():
        group = find_group(direction, groups)
        if group is not None:
            members[group].append(key)
    return {group: keys for group, keys in members.items() if keys}


def transfer_gap(means: Mapping[str, float]) -> float | None:
    """Return TRFGap, the mean of group `high` minus the mean of group `low`.

    Reference:
        Khurana et al., "Improved Cross-Lingual Transfer Learning For Automatic Speech
        Translation", arXiv 2306.00789.

    Args:
        means: Mean score of every group; upper and lower case are the same.

    Returns:
        Difference of the means; None when a group is not scored.
    """
    folded = {group.casefold(): mean for group, mean in means.items()}
    if "high" not in folded or "low" not in folded:
        return None
    return folded["high"] - folded["low"]
