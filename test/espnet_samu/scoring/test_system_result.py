"""Tests of espnet_samu.scoring.system_result."""

import pytest

from espnet_samu.scoring.comet import CometScores
from espnet_samu.scoring.directions import parse_train_langs, split_directions
from espnet_samu.scoring.system_result import SystemResult, score_system
from espnet_samu.scoring.table import make_translation_table
from espnet_samu.scoring.translation import MetricSettings, score_translation

LANGS = ["es", "fr", "it", "ru"]
REFS = {
    f"{lang}{i}": f"the message number {word} is a new one in may"
    for lang in LANGS
    for i, word in enumerate(["one", "two", "three"])
}
HYPS = {
    utt: ref.replace("two", "ten") if utt[:2] in ("it", "ru") else ref
    for utt, ref in REFS.items()
}
UTT2LANG = {utt: utt[:2] for utt in REFS}
TARGET = dict.fromkeys(REFS, "en")
DIRECTIONS = split_directions(REFS, UTT2LANG, TARGET)


def test_means_by_hand():
    values = {"es": 0.5, "fr": 1.0, "it": 0.2}
    retrieval = {(lang, None): (value, "pool:3") for lang, value in values.items()}
    result = score_system(
        "samu",
        HYPS,
        REFS,
        DIRECTIONS,
        train_langs=parse_train_langs("es fr de", DIRECTIONS.values()),
        groups={"es": "high", "fr": "high", "ru": "low"},
        settings=MetricSettings(slot_words=["one", "two", "three"]),
        retrieval=retrieval,
    )
    means = {row.name: row for row in result.means}
    assert list(means) == ["supervised", "zero-shot", "high", "low", "average"]
    assert [row.name for row in result.directions] == LANGS
    utts = [utt for utt in REFS if utt.startswith("it")]
    italian = score_translation([HYPS[u] for u in utts], [REFS[u] for u in utts])
    italian = italian["bleu"].value
    assert 0 < italian < 100
    assert result.directions[2].values["bleu"] == italian
    assert means["supervised"].values["bleu"] == pytest.approx(100)
    assert means["zero-shot"].values["bleu"] == pytest.approx(italian)
    assert means["average"].values["bleu"] == pytest.approx((100 + italian) / 2)
    assert result.trf_gap == pytest.approx(100 - italian)
    assert means["zero-shot"].values["exact_match"] == pytest.approx(2 / 3)
    # every sentence has "one" besides its number
    assert means["zero-shot"].values["slot_accuracy"] == pytest.approx(5 / 6)
    assert means["supervised"].values["r1"] == 0.75
    assert means["zero-shot"].values["r1"] is None  # ru is not known
    assert means["zero-shot"].utterances == 6
    assert means["zero-shot"].members == ("it", "ru")

    table = make_translation_table([result], {"seed": "1"})
    lines = table.splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == (
        "system,languages,BLEU,chrF2,exact match,slot accuracy,R@1,length ratio,N"
    ).split(",")
    assert "| samu   | supervised (es fr)" in table
    assert "- TRFGap of samu: " in table
    assert "- BLEU (es fr it ru): `nrefs:1|case:mixed|eff:no|tok:13a" in table
    assert "- R@1 (es fr it): `pool:3`" in table
    assert lines[-1] == "- seed: 1"


def test_directions_are_supervised_or_not():
    """fr to en and de to fr in training say nothing of de to en."""
    langs = {"a": "fr", "b": "de", "c": "de"}
    targets = {"a": "en", "b": "fr", "c": "en"}
    directions = split_directions("abc", langs, targets)
    refs = {utt: "four words are enough" for utt in "abc"}
    scores = {
        ("de", "fr"): (0.25, "k"),
        ("de", "en"): (0.75, "k"),
        ("fr", None): (1, ""),
    }
    result = score_system(
        "a",
        refs,
        refs,
        directions,
        parse_train_langs("fr:en, de-fr", directions.values()),
        {"fr": "high", "de": "high", "de-en": "low"},
        retrieval=scores,
    )
    means = {row.name: row.members for row in result.means}
    assert means["supervised"] == ("de-fr", "fr-en")
    assert means["zero-shot"] == means["low"] == ("de-en",)
    assert means["high"] == ("de-fr", "fr-en")
    r1 = {row.name: row.values["r1"] for row in result.directions}
    assert r1 == {"de-en": 0.75, "de-fr": 0.25, "fr-en": 1}
    again = SystemResult.from_dict("a", result.to_dict())
    assert again.directions[0].direction.target == "en"


def test_directions_with_several_targets():
    target = {utt: "zh" if utt.endswith("0") else "en" for utt in REFS}
    directions = split_directions(REFS, UTT2LANG, target)
    result = score_system("a", HYPS, REFS, directions)
    assert [row.name for row in result.directions][:2] == ["es-en", "es-zh"]
    assert "tok:zh" in result.directions[1].signatures["bleu"]
    assert [row.name for row in result.means] == ["average"]
    table = make_translation_table([result], {})
    assert "average (8)" in table
    assert "R@1" not in table and "slot" not in table


def test_optional_scores():
    hyps = {**HYPS, "it1": " ", "ru0": "", "ru2": ""}
    comet = CometScores({utt: int(utt[2:]) / 2 for utt in REFS}, "model:made-up")
    settings = MetricSettings(("bleu", "ter"))
    result = score_system("a", hyps, REFS, DIRECTIONS, settings=settings, comet=comet)
    assert [row.empty for row in result.directions] == [0, 0, 1, 2]
    assert result.means[0].empty == 3
    # two of three references are lost, of equal length
    assert result.directions[3].values["ter"] > 200 / 3
    assert result.means[0].values["comet"] == 0.5
    assert result.means[0].values["chrf"] is None
    table = make_translation_table([result], {})
    assert "BLEU |  TER | COMET | exact match | length ratio" in table
    assert "- empty hypotheses of a: it 1, ru 2\n" in table
    assert "- COMET (es fr it ru): `model:made-up`" in table
    assert SystemResult.from_dict("a", result.to_dict()) == result
