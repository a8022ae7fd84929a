import pytest

from espnet_samu.report.group_means import collect_means
from espnet_samu.report.published import PublishedSystem
from espnet_samu.report.results import Results
from espnet_samu.scoring.score_row import METRICS, ScoreRow
from espnet_samu.scoring.system_result import SystemResult

GROUPS = {"fr": "high", "de": "high", "zh-CN": "low", "ja": "low"}
# XLS-R 0.3B on CoVoST-2; the means of these groups are made up.
XLSR = {"fr": 32.9, "de": 26.7, "zh": 4.9, "ja": 0.6, "high": 29.9, "low": 2.7}


def _results(*langs, groups=GROUPS):
    rows = {
        lang: ScoreRow(lang, 1, 0, {**dict.fromkeys(METRICS), "bleu": 10.0 * i}, {})
        for i, lang in enumerate(langs, 1)
    }
    by_lang = {key: groups.get(key) or groups[key.split("-")[0]] for key in langs}
    sets = {"supervised": [langs[0]]}
    for group in ("high", "low"):
        sets[group] = [key for key in langs if by_lang[key] == group]
    means = [
        ScoreRow.mean(name, [rows[lang] for lang in members])
        for name, members in {**sets, "average": langs}.items()
        if members
    ]
    system = SystemResult("ours", tuple(means), tuple(rows.values()), -20.0)
    return Results((system,), ("fr",), groups, {}, None, "")


def test_whole_groups():
    only_means = PublishedSystem("m", {"high": 40.0, "low": 19.5, "average": 30.0})
    systems = [PublishedSystem("XLS-R", XLSR), only_means]
    means = collect_means(_results("fr", "de", "zh-CN", "ja"), systems)
    assert means.names == ["supervised", "high", "low", "average"]
    assert means.of("ours") == {
        **{"supervised": 10.0, "high": 15.0, "low": 35.0, "average": 25.0},
    }
    assert means.of("XLS-R") == pytest.approx(
        {"supervised": 32.9, "high": 29.9, "low": 2.7, "average": 65.1 / 4}
    )
    assert means.of("m") == {"high": 40.0, "low": 19.5, "average": 30.0}
    assert means.gaps == {
        "ours": -20.0,
        "XLS-R": pytest.approx(29.9 - 2.7),
        "m": 20.5,
    }


def test_part_of_a_group():
    only_means = PublishedSystem("m", {"high": 40.0, "low": 19.5, "average": 30.0})
    systems = [PublishedSystem("XLS-R", XLSR), only_means]
    means = collect_means(_results("fr", "de", "ja"), systems)
    # zh-CN is not ours, so that what was published for the group is something else
    assert means.of("XLS-R")["low"] == 0.6
    assert means.of("XLS-R")["average"] == pytest.approx(60.2 / 3)
    assert means.of("m") == {"high": 40.0}
    assert means.gaps["m"] is None
    with pytest.raises(ValueError, match="has a system of ours: 'ours'"):
        collect_means(_results("fr"), [PublishedSystem("ours", {})])


def test_directions_out_of_english():
    """English belongs to a group, but not to what the table's average is over."""
    groups = {"fr": "high", "de": "high", "ja": "low", "en": "English"}
    columns = ("fr-en", "de-en", "ja-en", "high", "low", "average")
    scores = dict(zip(columns, (32.9, 26.7, 0.6, 29.9, 0.5, 20.2)))
    del scores["ja-en"]
    published = PublishedSystem("XLS-R", scores, columns)
    into = collect_means(_results("fr", "de", "ja", groups=groups), [published])
    expected = {"supervised": 32.9, "high": 29.9, "low": 0.5, "average": 20.2}
    assert into.of("XLS-R") == expected

    directions = ("fr-en", "de-en", "ja-en", "en-de", "en-ja")
    both = collect_means(_results(*directions, groups=groups), [published])
    # Ours is an average over more.
    assert both.names == ["supervised", "high", "low", "average"]
    assert both.of("XLS-R") == {"supervised": 32.9, "high": 29.9, "low": 0.5}
