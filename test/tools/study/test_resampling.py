"""Tests of study.resampling."""

import dataclasses

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from study.resampling import GAP, SUPERVISED, ZERO_SHOT, Resampling
from study.run_utterance import RunUtterance
from study.study_set import StudySet
from study.sufficient_statistics import METRICS

REFS = ["a b c d e", "b c d e f g", "c d a b", "f e d c b a"]
HYPS = {
    "es": ["a b c d e", "b c d e f", "c d a b", "f e d c b"],
    "it": ["a b c d", "b c x e f g", "c d x b", "f e d c a"],
    "ru": ["a b c d x", "b c d e f g g", "x d a b", "f e d b c a"],
}


def make_utterances(langs=("es", "it", "ru")):
    return [
        RunUtterance(f"{lang}{i}", lang, ref, hyp, int(hyp == ref), i, 4)
        for lang in langs
        for i, (ref, hyp) in enumerate(zip(REFS, HYPS[lang]))
    ]


def make_resampling(utterances, samples=50, **kwargs):
    study_set = StudySet.from_utterances("test", utterances)
    return Resampling(study_set, ["es"], ["it", "ru"], samples, 7, **kwargs)


def test_scores_are_those_of_the_drawn_sentences():
    utterances = make_utterances()
    resampling = make_resampling(utterances)
    assert resampling.scopes == ["es", "it", "ru", SUPERVISED, ZERO_SHOT, GAP]
    assert (resampling.counts[0] == 1).all()
    assert (resampling.counts.sum(axis=1) == 4).all()
    statistics = resampling.set.statistics(utterances, "run")
    scores = resampling.score(statistics)
    assert scores.shape == (3, 6, 51)
    for draw in (0, 1, 17, 50):
        counts = resampling.counts[draw].astype(int)
        by_lang = {}
        for lang, hyps in HYPS.items():
            # Contents are numbered by utterance id: as they are written here.
            drawn = np.repeat(np.arange(4), counts)
            wanted = BLEU().corpus_score(
                [hyps[i] for i in drawn], [[REFS[i] for i in drawn]]
            )
            by_lang[lang] = wanted.score
            exact = np.mean([hyps[i] == REFS[i] for i in drawn])
            place = resampling.scopes.index(lang)
            assert scores[0, place, draw] == pytest.approx(wanted.score)
            assert scores[1, place, draw] == pytest.approx(exact)
            assert scores[2, place, draw] == pytest.approx(np.mean(drawn) / 4)
        zero_shot = (by_lang["it"] + by_lang["ru"]) / 2
        assert scores[0, 4, draw] == pytest.approx(zero_shot)
        assert scores[0, 5, draw] == pytest.approx(by_lang["es"] - zero_shot)
    assert METRICS == ("bleu", "exact_match", "slot_accuracy")


def test_languages_share_their_contents():
    utterances = make_utterances()
    study_set = StudySet.from_utterances("test", utterances)
    assert study_set.size == 4
    assert study_set.rows["es"]["es2"] == study_set.rows["ru"]["ru2"]
    # The same sentence twice in a language is two contents.
    twice = [*utterances, dataclasses.replace(utterances[0], id="es9")]
    assert StudySet.from_utterances("test", twice).size == 5


def test_a_set_with_one_group_has_no_gap():
    utterances = make_utterances(("it",))
    resampling = make_resampling(utterances, samples=3)
    assert resampling.scopes == ["it", ZERO_SHOT]
    scores = resampling.score(resampling.set.statistics(utterances, "run"))
    assert (scores[:, 0] == scores[:, 1]).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda utts: utts[1:],
        lambda utts: [dataclasses.replace(utts[0], lang="fr"), *utts[1:]],
        lambda utts: [dataclasses.replace(utts[0], ref="other"), *utts[1:]],
        lambda utts: [*utts, dataclasses.replace(utts[0], id="more")],
    ],
)
def test_other_utterances_are_refused(change):
    utterances = make_utterances()
    study_set = StudySet.from_utterances("test", utterances)
    with pytest.raises(ValueError, match="b, seed 2: utterances, .* 1 are not, e.g."):
        study_set.statistics(change(utterances), "b, seed 2")


def test_samples_must_be_positive():
    with pytest.raises(ValueError, match="samples must be at least 1: 0"):
        make_resampling(make_utterances(), samples=0)


def test_few_slot_words_are_no_slot_accuracy():
    utterances = [dataclasses.replace(utt, slots=2) for utt in make_utterances()]
    resampling = make_resampling(utterances)
    scores = resampling.score(resampling.set.statistics(utterances, "run"))
    assert np.isnan(scores[2]).all() and np.isfinite(scores[:2]).all()
