from statistics import fmean

import pytest

from espnet_samu.scoring.transfer_gap import (
    group_languages,
    group_means,
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
    means = group_means(scores, groups)
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


def test_languages_without_group_are_left_out():
    groups = {"es": "high", "sv-SE": "low"}
    langs = {"sv-en": "sv", "es-en": "es", "xx-en": "xx"}
    assert group_languages(langs, groups) == {"high": ["es-en"], "low": ["sv-en"]}


def test_read_groups(tmp_path):
    path = tmp_path / "groups.tsv"
    path.write_text("# ours\nlanguage\tgroup\nes\thigh\nzh-CN\tmid\n")
    assert read_groups(path) == {"es": "high", "zh-CN": "mid"}
    path.write_text("es\thigh\nes\tlow\n")
    with pytest.raises(ValueError, match="groups.tsv:2: language given twice: es"):
        read_groups(path)
    path.write_text("es high x\n")
    with pytest.raises(ValueError, match="groups.tsv:1: need two columns"):
        read_groups(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="no language"):
        read_groups(path)
