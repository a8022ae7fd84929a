"""Tests of espnet_samu.report.results."""

import json

import pytest

from espnet_samu.report.results import (
    PublishedSystem,
    Results,
    collect_means,
    read_published,
    read_results,
)
from espnet_samu.scoring.directions import Direction, parse_pair
from espnet_samu.scoring.system_result import METRICS, ScoreRow, SystemResult

CONTENT = "# from papers\nsystem\tfr\tzh-CN\thigh\nA\t30.5\t-\t30.6\n\nB\t\t4\t-\n"


def test_read(tmp_path):
    path = tmp_path / "published.tsv"
    path.write_text(CONTENT)
    a, b = read_published(path)
    assert (a.name, a.scores) == ("A", {"fr": 30.5, "high": 30.6})
    assert (b.name, b.scores) == ("B", {"zh-CN": 4.0})
    assert a.columns == b.columns == ("fr", "zh-CN", "high")


@pytest.mark.parametrize(
    "content, message",
    [
        ("name\tfr\n", ":1: first line must be `system`"),
        ("system\n", ":1: first line must be"),
        ("system\tfr\tfr\n", ":1: .* different languages"),
        ("system\tfr\nA\t1\t2\n", ":2: need 2 columns: 3"),
        ("system\tfr\nA\t1\nA\t2\n", ":3: need a system's name, once: 'A'"),
        ("system\tfr\nA\tx\n", ":2: fr must be a number or -: 'x'"),
        ("system\tfr\n", ": no system"),
        ("system\tfr\nA\tinf\n", ":2: fr must be a number or -: 'inf'"),
        ("system\tfr\nA\tnan\n", ":2: fr must be a number or -: 'nan'"),
    ],
)
def test_refused(tmp_path, content, message):
    path = tmp_path / "published.tsv"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"published.tsv{message}"):
        read_published(path)


def test_byte_order_mark(tmp_path):
    path = tmp_path / "published.tsv"
    path.write_text("system\tfr\nA\t1\n", encoding="utf-8-sig")
    assert read_published(path)[0].scores == {"fr": 1.0}


def direction(name):
    """Direction of a name; into English where it names no target."""
    source, target = parse_pair(name)
    return Direction(name, source, target or "en")


def find(system, *names):
    return [system.find(direction(name)) for name in names]


def test_regions():
    system = PublishedSystem("A", {"zh": 1.0, "sv-SE": 2.0, "en-de": 3.0, "en-fr": 4.0})
    assert find(system, "zh-CN", "sv", "en-de", "en_XX-fr") == [1.0, 2.0, 3.0, 4.0]
    assert find(system, "ZH_cn", "zho_Hans", "en", "en-it") == [1.0, 1.0, None, None]


def test_a_target_is_never_assumed():
    scores = {"fr-en": 1.0, "sv-SE-en": 2.0, "high": 3.0}
    system = PublishedSystem("A", scores, ("fr-en", "sv-SE-en", "de-en", "high"))
    found = find(system, "fr", "sv", "sv-en", "de", "fr-de", "en")
    assert found == [1.0, 2.0, 2.0, None, None, None]
    # Results of an earlier version do not say into which language.
    assert system.find(Direction("fr", "fr", None)) is None
    assert PublishedSystem("B", {"fr": 5.0}).find(Direction("fr", "fr", None)) == 5.0
    assert find(PublishedSystem("C", {"en-de": 1.0}), "en", "en-tr") == [None, None]


def test_means_over_the_same_languages():
    system = PublishedSystem("A", {"fr": 10.0, "de": 21.0, "high": 15.6})
    # As published where our group is whole, else made of the same languages
    fr, de, es = map(direction, ("fr", "de", "es"))
    assert system.mean("high", [fr, de], whole=True) == 15.6
    assert system.mean("High", [fr, de], whole=True) == 15.6
    assert system.mean("high", [fr, de], whole=False) == 15.5
    assert system.mean("high", [fr], whole=False) == 10.0
    assert system.mean("high", [fr, es], whole=False) is None
    assert system.mean("low", [fr, de], whole=True) == 15.5


ROW = {"utterances": 4, "bleu": 10.0, "length_ratio": 1.0}
SYSTEM = {
    "means": {
        "supervised": {**ROW, "mean_of": ["es"]},
        "zero-shot": {**ROW, "mean_of": ["it", "ru"]},
    },
    "directions": {"es": ROW, "it": ROW, "ru": ROW},
    "trf_gap": None,
}
# As score_st wrote it before it knew groups, significance and command
OLD = {"systems": {"a": SYSTEM}, "train_langs": ["es"], "notes": {"seed": "1"}}


def _read(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    return read_results(path)


def test_without_the_newer_fields(tmp_path):
    results = _read(tmp_path, OLD)
    assert [*results.directions()] == ["es", "it", "ru"]
    assert results.directions()["it"] == Direction("it", "it", None)
    assert results.panels() == {"supervised": ["es"], "zero-shot": ["it", "ru"]}
    assert results.systems[0].directions[0].values["ter"] is None
    assert (results.significance, results.command, results.groups) == (None, "", {})


def test_one_sided_tests_of_an_earlier_version(tmp_path, caplog):
    tests = {"baseline": "b", "directions": {}, "signatures": {}}
    results = _read(tmp_path, {**OLD, "significance": tests})
    assert results.significance is None
    assert "results.json: tests of an earlier version, which are one-" in caplog.text
    tests["test"] = "two-sided paired bootstrap"
    assert _read(tmp_path, {**OLD, "significance": tests}).significance.baseline == "b"


def test_panels(tmp_path):
    means = {"low": {**ROW, "mean_of": ["it"]}, "high": {**ROW, "mean_of": ["es"]}}
    groups = {"es": "high", "it": "low"}
    system = {**SYSTEM, "means": means}
    results = _read(tmp_path, {**OLD, "systems": {"a": system}, "groups": groups})
    assert [*results.panels().items()] == [("high", ["es"]), ("low", ["it"])]
    bare = {**OLD, "systems": {"a": {**SYSTEM, "means": {}}}}
    assert _read(tmp_path, bare).panels() == {"all": ["es", "it", "ru"]}


@pytest.mark.parametrize("content", [[], {"scores": []}, {**OLD, "systems": {"a": 1}}])
def test_results_refused(tmp_path, content):
    with pytest.raises(ValueError, match="results.json: not a results.json of score_"):
        _read(tmp_path, content)
    with pytest.raises(ValueError, match="no system"):
        _read(tmp_path, {**OLD, "systems": {}})


GROUPS = {"fr": "high", "de": "high", "zh-CN": "low", "ja": "low"}
# XLS-R 0.3B on CoVoST-2; the means of these groups are made up.
XLSR = {"fr": 32.9, "de": 26.7, "zh": 4.9, "ja": 0.6, "high": 29.9, "low": 2.7}


def _results(*langs, groups=GROUPS):
    rows = {
        lang: ScoreRow(
            lang,
            1,
            0,
            {**dict.fromkeys(METRICS), "bleu": 10.0 * i},
            {},
            languages=(direction(lang).source, direction(lang).target),
        )
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
    assert [*means.members] == ["supervised", "high", "low", "average"]
    assert means.scores["ours"] == {
        **{"supervised": 10.0, "high": 15.0, "low": 35.0, "average": 25.0},
    }
    assert means.scores["XLS-R"] == pytest.approx(
        {"supervised": 32.9, "high": 29.9, "low": 2.7, "average": 65.1 / 4}
    )
    assert means.scores["m"] == {"high": 40.0, "low": 19.5, "average": 30.0}
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
    assert means.scores["XLS-R"]["low"] == 0.6
    assert means.scores["XLS-R"]["average"] == pytest.approx(60.2 / 3)
    assert means.scores["m"] == {"high": 40.0}
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
    assert into.scores["XLS-R"] == expected

    directions = ("fr-en", "de-en", "ja-en", "en-de", "en-ja")
    both = collect_means(_results(*directions, groups=groups), [published])
    # Ours is an average over more.
    assert [*both.members] == ["supervised", "high", "low", "average"]
    assert both.scores["XLS-R"] == {"supervised": 32.9, "high": 29.9, "low": 0.5}
