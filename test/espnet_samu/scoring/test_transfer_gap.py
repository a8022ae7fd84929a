from statistics import fmean

import pytest

from espnet_samu.scoring.directions import Direction
from espnet_samu.scoring.system_result import METRICS, ScoreRow
from espnet_samu.scoring.transfer_gap import (
    compare_groups,
    describe_groups,
    group_languages,
    read_groups,
    transfer_gap,
)

GROUPS = {
    "high": "fr de es ca",
    "mid": "fa it ru pt zh-CN",
    "low": "tr ar et mn nl sv-SE lv sl ta ja id cy",
}
# XLS-R 2B on CoVoST-2 X->En (Babu et al. 2022)
XLSR_2B = (
    "fr 37.6 de 33.6 es 39.2 ca 33.8 fa 12.9 it 34.9 ru 39.5 pt 41.8 zh 9.4 tr 16.7 "
    "ar 17.1 et 11.1 mn 1.6 nl 31.7 sv 29.6 lv 19.5 sl 19.6 ta 0.5 ja 3.5 id 16.5 "
    "cy 14.0"
)


def test_published_scores():
    fields = XLSR_2B.split()
    scores = dict(zip(fields[::2], map(float, fields[1::2])))
    groups = {lang: group for group, langs in GROUPS.items() for lang in langs.split()}
    rows = {
        lang: ScoreRow(lang, 1, 0, {**dict.fromkeys(METRICS), "bleu": score}, {})
        for lang, score in scores.items()
    }
    directions = {lang: Direction(lang, lang, None) for lang in scores}
    means = {
        group: ScoreRow.mean(group, [rows[lang] for lang in langs]).values["bleu"]
        for group, langs in group_languages(directions, groups).items()
    }
    # published, with one decimal: 36.1 27.7 15.1, average 22.1, gap 36.1 - 15.1
    assert means == {
        "high": pytest.approx(36.05),
        "mid": pytest.approx(27.7),
        "low": pytest.approx(181.4 / 12),
    }
    assert round(fmean(scores.values()), 1) == 22.1
    assert transfer_gap(means) == pytest.approx(36.05 - 181.4 / 12)
    assert transfer_gap(means) == pytest.approx(21.0, abs=0.1)


def test_gap_needs_both_groups():
    assert transfer_gap({"high": 3.0, "mid": 2.0, "low": 0.5}) == 2.5
    assert transfer_gap({"high": 3.0, "mid": 2.0}) is None


def _directions(*langs):
    return {lang: Direction(lang, lang, "en") for lang in langs}


def test_upper_case_and_regions():
    groups = {"ES": "High", "pt-BR": "High", "pt-PT": "Low", "zh_CN": "Low"}
    directions = _directions("es", "pt-PT", "zh-CN")
    members = group_languages(directions, groups)
    assert members == {"High": ["es"], "Low": ["pt-PT", "zh-CN"]}
    assert transfer_gap({"High": 3.0, "LOW": 0.5}) == 2.5
    # In two groups by its region
    with pytest.raises(ValueError, match="meant for pt to en: pt-BR, pt-PT"):
        compare_groups(_directions("pt"), groups)
    assert group_languages(_directions("pt"), {"pt-BR": "x", "pt-PT": "x"}) == (
        {"x": ["pt"]}
    )
    with pytest.raises(ValueError, match="the name of a language: 'es'"):
        compare_groups(_directions("es"), {"es": "es"})


def test_byte_order_mark(tmp_path):
    path = tmp_path / "groups.tsv"
    path.write_text("high\tes\nlow\tit\n", encoding="utf-8-sig")
    assert read_groups(path) == {"es": "high", "it": "low"}


def test_languages_without_group_are_left_out():
    groups = {"es": "high", "sv-SE": "low"}
    assert group_languages(_directions("sv", "es", "xx"), groups) == {
        "high": ["es"],
        "low": ["sv"],
    }


@pytest.mark.parametrize(
    "content",
    [
        "# ours\n\nhigh\tes fr\nmid\tzh-CN\n",
        "language\tgroup\n# ours\nes\thigh\nfr\thigh\nzh-CN\tmid\n",
    ],
)
def test_read_groups(tmp_path, content):
    path = tmp_path / "groups.tsv"
    path.write_text(content)
    assert read_groups(path) == {"es": "high", "fr": "high", "zh-CN": "mid"}


@pytest.mark.parametrize(
    "content, message",
    [
        ("high\tes fr\nlow\tru es\n", ":2: language given twice: es"),
        ("high\tes fr\nhigh\tru\n", ":2: group given twice: high"),
        ("es\thigh\nfr\thigh\n", ":2: language given twice: high .* need the header"),
        ("high\tes fr\nHigh\tru\n", r":2: group given twice: High \(as high\)"),
        ("high\tfr FR\n", ":1: language given twice: FR"),
        ("Average\tfr\n", ":1: a group cannot be called 'Average'"),
        ("language group\nfr supervised\n", ":2: a group cannot be called 'superv"),
        ("high\n", ":1: need `group language language ...`: 'high'"),
        ("language group\nes high\nes low\n", ":3: language given twice: es"),
        ("language group\nes fr high\n", ":2: need `language group`: 'es fr high'"),
        ("\n", "no language"),
    ],
)
def test_groups_refused(tmp_path, content, message):
    path = tmp_path / "groups.tsv"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"groups.tsv:? ?{message.lstrip(':')}"):
        read_groups(path)


def test_languages_without_group_or_utterances():
    groups = {"es": "high", "zh-CN": "mid", "sv-SE": "low"}
    assert compare_groups(_directions("zh", "es"), groups) == ["sv-SE"]
    with pytest.raises(ValueError, match=r"no group for the languages \['xx', 'zu'\]"):
        compare_groups(_directions("xx", "es", "zu"), groups)
    assert describe_groups({**groups, "cy": "low"}, ["sv-SE"]) == (
        "macro means (high, mid, low, average): every language counts the same; "
        "without sv-SE (low): no utterances"
    )
    assert describe_groups(groups, ["sv-SE"]) == (
        "macro means (high, mid, average): every language counts the same; without "
        "group low: no utterances"
    )
