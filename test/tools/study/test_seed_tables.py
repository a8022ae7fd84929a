"""Tests of study.seed_tables."""

import dataclasses
from pathlib import Path

import pytest
from scipy import stats

from espnet_samu.utils.kaldi_io import write_text
from study import run_arms
from study.arm_runs import collect_arms
from study.plan import read_plan
from study.run_file import read_run, read_runs, write_run
from study.seed_tables import make_dev_table, make_retrieval_tables
from study.study_results import StudyOptions, analyse

OPTIONS = StudyOptions(("es", "fr"), ("it", "ru"), (), samples=2, seed=1)


def load(folder, options=OPTIONS):
    arms = read_plan(folder / "arms.yaml").arms
    return analyse(collect_arms(arms, read_runs(folder / "runs")), options)


def test_retrieval_among_english_by_hand(make_study):
    folder = make_study(2, 4, ("b", "c_frozen"))
    assert make_retrieval_tables(load(folder)) == []
    for seed, r1 in ((1, 0.2), (2, 0.4)):
        path = folder / "runs" / "c_frozen" / f"seed{seed}.json"
        table = {"es": 0.6, "it": r1, "ru": 0.3}
        found = {"test": {"it": r1}, "test, speech to English": table}
        write_run(path, dataclasses.replace(read_run(path), retrieval=found))
    own, english = make_retrieval_tables(load(folder))
    assert own.caption == "R@1 on test, speech to its own transcripts"
    assert english.caption == "R@1 on test, speech to English"
    header = ["arm", "seeds", "es", "it", "ru", "supervised", "zero-shot", "gap"]
    assert english.header == header
    row = english.rows[0]
    assert row[:3] == ["arm c_frozen (c)", "2", "0.60 [0.60, 0.60]"]
    # mean .3, standard error .1
    width = 0.1 * stats.t.ppf(0.975, 1)
    assert row[3] == f"0.30 [{0.3 - width:.2f}, {0.3 + width:.2f}]"
    assert row[6].startswith("0.30 [") and row[7].startswith("0.30 [")
    # The run with other settings has one seed.
    assert own.rows[1][0].startswith("arm c_frozen +")


def test_dev_where_the_main_set_lacks_the_supervised_languages(make_study):
    folder = make_study(1, 4, ("b",))
    assert make_dev_table(load(folder)) is None
    path = folder / "runs" / "b" / "seed1.json"
    run = dataclasses.replace(read_run(path), dev={"bleu": {"de": 31.25}})
    write_run(path, run)
    options = dataclasses.replace(OPTIONS, supervised=("de",))
    table = make_dev_table(load(folder, options))
    assert table.header == ["arm", "seeds", "de", "supervised"]
    assert table.rows[0] == ["arm b (b)", "1", "31.2*", "31.2*"]


@pytest.mark.timeout(30)
def test_arm_that_is_a_program(recipe: Path, monkeypatch):
    """It translates without training; its folder has text, and retrieval or not."""
    plan = (recipe / "arms.yaml").read_text()
    plan += (
        "  w: {letter: w, title: w, what: w, seeds: [3], program: bash local/w.sh}\n"
    )
    (recipe / "arms.yaml").write_text(plan)
    (recipe / "local").mkdir()
    script = 'while [ $# -gt 0 ]; do declare "${1#--}=$2"; shift 2; done\n'
    script += 'mkdir -p "${output_dir}"; echo "a ten hours" > "${output_dir}/text"\n'
    (recipe / "local" / "w.sh").write_text(script)
    write_text(recipe / "dump" / "raw" / "test" / "utt2lang", {"a": "it"})
    write_text(recipe / "dump" / "raw" / "test" / "text.tc.en", {"a": "ten hours"})
    monkeypatch.chdir(recipe)
    (recipe / "study").mkdir()
    command = ["--plan", "arms.yaml", "--arms", "w"]
    assert run_arms.main(["--plan", "arms.yaml", "--store", "true"]) == 0
    assert run_arms.main(command) == 0
    (run,) = read_runs("study/runs")
    assert (run.arm, run.seed, run.status, run.retrieval) == ("w", 3, "ok", None)
    (utt,) = run.utterances["test"]
    assert (utt.hyp, utt.exact) == ("ten hours", 1) and not run.updates
