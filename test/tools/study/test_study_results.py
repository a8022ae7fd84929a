"""Tests of study.study_results."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from scipy import stats

from espnet_samu.utils.kaldi_io import read_text
from study.answer import (
    list_outcomes,
    list_shortfalls,
    make_answer_table,
    state_answer,
    state_claim,
    state_limits,
    state_missing,
    state_mixed,
)
from study.arm_runs import collect_arms
from study.plan import read_plan
from study.resampling import SUPERVISED, ZERO_SHOT
from study.run_file import RunUtterance, read_run, read_runs, run_path, write_run
from study.study_results import StudyOptions, analyse, make_floor
from study.tables import (
    make_difference_tables,
    make_primary_tables,
    make_run_table,
    make_score_table,
)

UTTERANCES = [
    RunUtterance("i1", "it", "ten hours", "x", 0, 0, 1),
    RunUtterance("i2", "it", "two hours", "y", 0, 0, 1),
]


def test_floor():
    texts = {"i1": "ten  hours", "i2": "nine hours", "other": "z"}
    first, second = make_floor(UTTERANCES, texts, ["two", "nine", "ten"])
    assert (first.hyp, first.exact, first.slots_right, first.slots) == (
        *("ten  hours", 1, 1, 1),
    )
    assert (second.ref, second.exact, second.slots_right) == ("two hours", 0, 0)
    assert make_floor(UTTERANCES, texts)[0].slots == 0


def test_every_utterance_is_needed():
    with pytest.raises(ValueError, match="--floor .*1 are not in it, e.g. 'i2'"):
        make_floor(UTTERANCES, {"i1": "ten hours"})


NAMED = "arm c_frozen (c) less arm b (b)"
MINI = Path(__file__).parents[3] / "egs2/mini_asterisk/samu_st1/study/arms.yaml"
PLAN = read_plan(MINI)
OPTIONS = StudyOptions(
    ("es", "fr"),
    ("it", "ru"),
    PLAN.comparisons,
    samples=150,
    seed=1,
    baselines=PLAN.baselines,
    pairs=PLAN.pairs,
)


def load(folder):
    return collect_arms(
        read_plan(folder / "arms.yaml").arms, read_runs(folder / "runs")
    )


def corpus_bleu(run, lang, name="test"):
    utts = [utt for utt in run.utterances[name] if utt.lang == lang]
    hyps = [utt.hyp for utt in utts]
    return BLEU().corpus_score(hyps, [[utt.ref for utt in utts]]).score


def test_figures_are_sacrebleu_and_numpy(make_study):
    folder = make_study(contents=15)
    arms = load(folder)
    floor = read_text(folder / "floor")
    results = analyse(arms, OPTIONS, floor, ["one", "two"])
    assert [*results.sets] == ["test", "test_menardi"]
    finished = {arm.name: arm.finished for arm in arms}

    zero_shot = {}
    for name, runs in finished.items():
        if not runs:
            continue
        by_seed = {
            seed: np.mean([corpus_bleu(run, lang) for lang in ("it", "ru")])
            for seed, run in runs.items()
        }
        zero_shot[name] = by_seed
        found = results.main.arms[name]
        assert found[ZERO_SHOT]["bleu"].by_seed == pytest.approx(by_seed)
        assert found[ZERO_SHOT]["bleu"].value == pytest.approx(
            np.mean([*by_seed.values()])
        )
        gaps = [
            np.mean([corpus_bleu(run, lang) for lang in ("es", "fr")]) - by_seed[seed]
            for seed, run in runs.items()
        ]
        assert found["gap"]["bleu"].value == pytest.approx(np.mean(gaps))
        utts = [u for u in runs[min(runs)].utterances["test"] if u.lang == "it"]
        first = found["it"]["exact_match"].by_seed[min(runs)]
        assert first == pytest.approx(np.mean([utt.exact for utt in utts]))
        share = sum(u.slots_right for u in utts) / sum(u.slots for u in utts)
        assert found["it"]["slot_accuracy"].by_seed[min(runs)] == pytest.approx(share)

    # Registered comparisons
    one = results.outcomes[0]
    a, b = zero_shot["c_frozen"], zero_shot["b"]
    assert one.mean.value == pytest.approx(
        np.mean([*a.values()]) - np.mean([*b.values()])
    )
    pooled = np.sqrt(
        (np.var([*a.values()], ddof=1) + np.var([*b.values()], ddof=1)) / 2
    )
    assert one.mean.effect_size == pytest.approx(one.mean.value / pooled)
    assert one.p_adjusted >= one.mean.p_value
    unpaired = results.main.differences["c_full", "b"]["it"]["bleu"]
    assert unpaired.paired == (1, 2, 3) and unpaired.unpaired == (4, 5)

    # The floor, and another set
    wanted = [
        [utt for utt in finished["b"][1].utterances["test"] if utt.lang == "it"],
    ][0]
    score = BLEU().corpus_score(
        [floor[u.id] for u in wanted], [[u.ref for u in wanted]]
    )
    assert results.main.floor["it"]["bleu"].value == pytest.approx(score.score)
    other = results.sets["test_menardi"]
    assert other.scopes == ("it", ZERO_SHOT)
    assert other.arms["b"]["it"]["bleu"].by_seed[2] == pytest.approx(
        corpus_bleu(finished["b"][2], "it", "test_menardi")
    )

    # Retrieval
    pairs = [
        (np.mean([run.retrieval["test"][lang] for lang in ("it", "ru")]), bleu)
        for name, runs in finished.items()
        for seed, run in runs.items()
        if run.retrieval
        for bleu in [zero_shot[name][seed]]
    ]
    rho = stats.spearmanr(*zip(*pairs)).statistic
    assert results.correlations[ZERO_SHOT].rho == pytest.approx(rho)
    assert results.correlations[ZERO_SHOT].runs == len(pairs)
    assert results.without_retrieval["b"] == [1, 2, 3, 4, 5]


def test_no_arm_or_seed_is_left_out(make_study):
    arms = load(make_study(primary=2, contents=8))
    assert [arm.name for arm in arms[:3]] == ["b", "c_frozen", "c_frozen+99999999"]
    by_name = {arm.name: arm for arm in arms}
    assert by_name["gone"].missing == [1, 2, 3]
    assert by_name["a"].missing == [3]
    assert by_name["b"].missing == [3, 4, 5]
    assert by_name["d"].failed == {2: "killed (synthetic)"}
    assert [*by_name["d"].finished] == [1, 3]
    changed = by_name["c_frozen+99999999"]
    assert changed.what == "not in the plan: translation.lr=0.5"
    assert by_name["b"].seconds()["distillation"] == 300.0
    rows = {row[1]: row for row in make_run_table(arms).rows}
    assert rows["d"][0] == "arm d (d)"
    assert rows["d"][3:6] == ["1 3", "2 (killed (synthetic))", "-"]
    assert rows["gone"][3:6] == ["-", "-", "1 2 3"]
    table = make_score_table(analyse(arms, OPTIONS).main, "bleu")
    assert [row[0] for row in table.rows][:3] == [
        *("arm b (b)", "arm c_frozen (c)", "arm c_frozen +99999999 (c)"),
    ]
    assert table.rows[2][1] == "1" and table.rows[2][2].endswith("]*")


def test_seeds_beyond_the_plan_do_not_count(make_study):
    folder = make_study(primary=5, contents=6, arms=("b", "c_frozen"))
    before = analyse(load(folder), OPTIONS)
    run = read_run(run_path(folder / "runs", "c_frozen", 5))
    extra = dataclasses.replace(run, seed=6)
    write_run(run_path(folder / "runs", "c_frozen", 6), extra)
    arms = load(folder)
    after = analyse(arms, OPTIONS)
    assert after.outcomes == before.outcomes
    row = next(row for row in make_run_table(arms).rows if row[1] == "c_frozen")
    assert row[3] == "1 2 3 4 5; beyond the plan, not counted: 6"


def test_runs_of_different_settings_in_one_arm_are_said_first(make_study):
    folder = make_study(primary=2, contents=6, arms=("b", "c_frozen"))
    assert state_mixed(analyse(load(folder), OPTIONS)) is None
    path = run_path(folder / "runs", "b", 2)
    write_run(path, dataclasses.replace(read_run(path), settings={"hash": "ffffffff"}))
    said = state_mixed(analyse(load(folder), OPTIONS))
    assert "different settings: arm b (b), 0123abcd and ffffffff. No verdict" in said


def test_comparisons_without_the_seeds_that_were_seen(make_study):
    folder = make_study(primary=5, contents=8, arms=("b", "c_frozen", "j"))
    arms = load(folder)
    assert analyse(arms, OPTIONS).fresh == []
    results = analyse(arms, dataclasses.replace(OPTIONS, seen_seeds=(1, 2)))
    assert results.outcomes == analyse(arms, OPTIONS).outcomes
    by_name = {arm.name: arm for arm in arms}
    means = [
        np.mean([corpus_bleu(by_name[a].runs[s], x) for s in (3, 4, 5) for x in langs])
        for a in ("c_frozen", "b")
        for langs in [("it", "ru")]
    ]
    h1, _, h3, _ = results.fresh
    assert h1.mean.value == pytest.approx(means[0] - means[1])
    assert h1.mean.paired == (3, 4, 5) and h3.mean is None
    said = next(line for line in state_limits(results) if "were known before" in line)
    assert "Some scores of seeds 1 and 2 were known before the registration" in said
    assert f"With seeds 3, 4, 5: H1 {h1.verdict()}: {NAMED} is" in said
    tables = make_primary_tables(results)
    assert tables[1].caption == "Registered comparisons without seeds 1 and 2"
    assert results.to_dict()["primary_fresh_seeds"]["without_seeds"] == [1, 2]


def test_further_pairs_have_a_table(make_study):
    results = analyse(load(make_study(1, 6, ("b", "c_frozen", "k", "k_0"))), OPTIONS)
    tables = {t.caption: t for t in make_difference_tables(results.main)}
    assert [*tables] == [
        "Against arm b (b), on test",
        "Against arm c_frozen (c), on test",
        "Further pairs, on test",
    ]
    (row,) = tables["Further pairs, on test"].rows
    # One seed of k, which is compared with the same one of k_0.
    means = [results.main.arms[a][ZERO_SHOT]["bleu"].by_seed[1] for a in ("k", "k_0")]
    assert row[0] == "arm k (k) less arm k_0 (k)"
    assert row[5].startswith(f"{means[0] - means[1]:+.1f} ")


def test_what_is_not_tested_yet_counts_for_holm(make_study):
    results = analyse(load(make_study(2, 6, ("b", "c_frozen"))), OPTIONS)
    h1, *others = results.outcomes
    assert h1.p_adjusted == pytest.approx(min(1.0, 4 * h1.mean.p_value))
    assert [other.p_adjusted for other in others] == [None] * 3


def test_what_does_not_hold_is_said(make_study):
    folder = make_study(primary=3, contents=12, arms=("b", "c_frozen", "k", "l"))
    results = analyse(load(folder), OPTIONS)
    verdicts = [outcome.verdict() for outcome in results.outcomes]
    assert verdicts[0] == "holds" and verdicts[1] == "not tested"
    lines = list_shortfalls(results)
    wanted = "H2 (it is the distillation, not the transcribed speech as such) is not "
    assert lines[0].startswith(
        wanted + "tested: arm c_frozen (c) less j: no finished run"
    )
    assert not any(line.startswith("H1") for line in lines)
    assert any(
        line.startswith("H3") and "does not hold for it: " in line for line in lines
    )
    assert "es and fr alone, over to it and ru" in state_claim(results)
    answer, (h1, h2, *_) = state_answer(results), list_outcomes(results)
    held = verdicts.count("holds")
    assert f"languages: {held} of the 4 registered comparisons hold" in answer
    assert "; H2 is not tested" in answer and "H1 is" not in answer
    assert h1.startswith(
        "H1, distillation helps at equal total updates: holds; arm c_frozen (c)"
    )
    assert h2.endswith("not the transcribed speech as such: not tested.")


def test_replication_counts_by_itself(make_study):
    names = ("b", "c_frozen", "k")
    folder = make_study(primary=5, contents=6, arms=names)
    arms = load(folder)
    first = analyse(arms, OPTIONS)
    arms = [
        (
            arm
            if arm.name not in ("c_frozen", "k")
            else dataclasses.replace(arm, planned=(1, 2, 3), replication=(4, 5, 6))
        )
        for arm in arms
    ]
    k = next(arm for arm in arms if arm.name == "k")
    assert [*k.finished] == [1, 2, 3] and k.extra == [] and k.missing == [6]
    results = analyse(arms, OPTIONS)
    (h3,) = results.replicated
    assert h3.comparison.name == "H3" and h3.mean.paired == (4, 5)
    runs = {arm.name: arm.runs for arm in arms}
    means = [
        np.mean(
            [corpus_bleu(runs[a][s], lang) for s in (4, 5) for lang in ("it", "ru")]
        )
        for a in ("k", "c_frozen")
    ]
    assert h3.mean.value == pytest.approx(means[0] - means[1])
    assert h3.p_adjusted == pytest.approx(h3.mean.p_value)
    (both,) = results.pooled
    assert both.mean.value == pytest.approx(first.outcomes[2].mean.value)
    assert both.mean.paired == (1, 2, 3, 4, 5)
    said = next(line for line in state_limits(results) if "replication" in line)
    assert (
        f"With seeds 4, 5: H3 {h3.verdict()}: arm k (k) less arm c_frozen (c) is "
        f"{h3.mean.value:+.1f}" in said
    )
    assert f"With seeds 1, 2, 3, 4, 5: H3 {both.verdict()}" in said
    captions = [table.caption for table in make_primary_tables(results)]
    assert captions[1:] == [
        "Registered comparisons, replicated",
        "Registered comparisons, all seeds",
    ]
    rows = {row[1]: row for row in make_run_table(arms).rows}
    assert rows["k"][3] == "1 2 3; replication: 4 5" and rows["k"][5] == "6"
    assert first.replicated == [] and first.pooled == []
    assert not any("replication" in line for line in state_limits(first))


@pytest.mark.parametrize("seeds", [5, 4])
def test_answer_is_preliminary_while_registered_runs_are_missing(make_study, seeds):
    folder = make_study(primary=seeds, contents=4, arms=("b", "c_frozen", "a"))
    results = analyse(load(folder), OPTIONS)
    said, answer = state_missing(results), state_answer(results)
    if seeds == 5:
        failed = folder / "runs" / "b" / "seed5.json"
        run = read_run(failed)
        write_run(failed, dataclasses.replace(run, status="failed", error="killed"))
        assert "(arm b (b): seed 5)" in state_missing(analyse(load(folder), OPTIONS))
        assert said is None and answer.startswith("Answer, ")
    else:
        assert said.startswith("Preliminary: 2 of the 10 registered runs of the ")
        assert "(arm b (b): seed 5; arm c_frozen (c): seed 5)" in said
        assert answer.startswith("Preliminary answer, ")


def test_compared_arms_and_limits(make_study):
    folder = make_study(primary=2, contents=8, arms=("b", "c_frozen", "a"))
    arms, floor = load(folder), read_text(folder / "floor")
    results = analyse(arms, OPTIONS, floor, ["one", "two"])

    def mean(arm, name, langs):
        runs = next(one for one in arms if one.name == arm).finished.values()
        return np.mean([corpus_bleu(run, lang, name) for run in runs for lang in langs])

    least = results.main.floor[ZERO_SHOT]["bleu"].value
    other = results.main.floor[SUPERVISED]["bleu"].value
    expected = []
    for arm in ("c_frozen", "b"):
        zero_shot = mean(arm, "test", ["it", "ru"])
        row = [f"arm {arm} ({arm[0]})", f"synthetic arm {arm}", f"{zero_shot:.1f}"]
        row += [f"{mean(arm, 'test', ['es', 'fr']):.1f}", f"{zero_shot - least:+.1f}"]
        expected.append(row)
    table = make_answer_table(results)
    assert [list(row) for row in table.rows[:2]] == expected
    assert [*table.rows[2]][2:] == [f"{least:.1f}", f"{other:.1f}", "-"]
    assert table.header[2:4] == ["BLEU zero-shot (it ru)", "BLEU supervised (es fr)"]
    *_, menardi = state_limits(results)
    least = results.sets["test_menardi"].floor[ZERO_SHOT]["bleu"].value
    found = {
        arm.name: mean(arm.name, "test_menardi", ["it"]) for arm in arms if arm.finished
    }
    above = sum(value > least for value in found.values())
    best = max(found, key=found.get)
    assert menardi.startswith(
        f"On test_menardi {above or 'none'} of the {len(found)} arms "
    )
    assert f"({least:.1f} zero-shot BLEU)" in menardi
    assert menardi.endswith(f"the best, arm {best} ({best[0]}), has {found[best]:.1f}.")
    assert not any("floor" in line for line in state_limits(analyse(arms, OPTIONS)))


def test_verdict_that_plain_percentiles_would_not_give_is_named(make_study):
    folder = make_study(primary=2, contents=8, arms=("b", "c_frozen"))
    results = analyse(load(folder), OPTIONS)
    h1 = results.outcomes[0]
    sure = dataclasses.replace(
        h1.mean, interval=(1.0, 5.0), percentile=(-0.5, 6.0), covers_seeds=True
    )
    table = {s: {**d, "bleu": sure} for s, d in h1.differences.items()}
    h1 = dataclasses.replace(h1, differences=table, languages=())
    said = state_limits(dataclasses.replace(results, outcomes=[h1]))[-1]
    assert said == (
        "H1 holds for zero-shot by the registered interval alone: the plain "
        "percentiles are [-0.5, +6.0]."
    )


def test_draws_do_not_depend_on_other_arms(make_study):
    folder = make_study(primary=2, contents=8, arms=("b", "c_frozen", "a"))
    arms = load(folder)
    whole = analyse(arms, OPTIONS).main.arms["b"]["it"]["bleu"]
    alone = analyse([arm for arm in arms if arm.name == "b"], OPTIONS)
    assert alone.main.arms["b"]["it"]["bleu"] == whole


def test_runs_must_go_together(make_study):
    folder = make_study(primary=1, contents=8, arms=("b", "c_frozen"))
    path = run_path(folder / "runs", "b", 1)
    run = read_run(path)
    run.utterances["test"] = run.utterances["test"][1:]
    write_run(path, run)
    with pytest.raises(ValueError, match="seed 1: utterances, .* of 'test' must be"):
        analyse(load(folder), OPTIONS)
    with pytest.raises(ValueError, match="no run with utterances of 'test' has"):
        analyse([], OPTIONS)
    options = dataclasses.replace(OPTIONS, zero_shot=("it", "de"), samples=10)
    path.unlink()
    with pytest.raises(ValueError, match=r"--zero_shot must be .*: \['de'\]"):
        analyse(load(folder), options)
