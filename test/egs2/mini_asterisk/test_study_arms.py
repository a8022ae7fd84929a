"""The mini recipe's study: its plan, and runs with a stub in place of run.sh."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from espnet_samu.utils.kaldi_io import write_text
from study import run_arms
from study.arms import updates_of
from study.plan import Plan, read_plan
from study.run_file import read_run, read_runs
from study.stored_settings import StoredSettings, read_stored

RECIPE = Path(__file__).parents[3] / "egs2" / "mini_asterisk" / "samu_st1"
PRIMARY = ["b", "c_frozen", "j", "k", "l"]
# Several calls of the study's command in a test.
pytestmark = pytest.mark.timeout(30)


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The plan of the study."""
    return read_plan(RECIPE / "study" / "arms.yaml")


def test_plan_has_every_arm_of_the_question_with_its_seeds(plan: Plan):
    assert {arm.letter for arm in plan.arms.values()} == set("abcdefghijkl")
    assert [arm.name for arm in plan.arms.values() if arm.primary] == PRIMARY
    for arm in plan.arms.values():
        assert arm.seeds == ((1, 2, 3, 4, 5) if arm.primary else (1, 2, 3))
    assert [(one.arm, one.against) for one in plan.comparisons] == [
        *(("c_frozen", "b"), ("c_frozen", "j"), ("k", "c_frozen"), ("c_frozen", "l")),
    ]
    assert plan.baselines[:2] == ("b", "j")
    readme = (RECIPE / "study" / "README.md").read_text(encoding="utf-8")
    for name in plan.arms:
        assert f"`{name}`" in readme, name


def test_readers_are_given_titles_not_letters(plan: Plan):
    names = {word for arm in plan.arms.values() for word in (arm.name, arm.letter)}
    titles = {arm.title for arm in plan.arms.values()}
    for arm in plan.arms.values():
        assert not names & set(re.findall(r"[\w.]+", arm.what)), arm.what
        assert set(re.findall('"(.*?)"', arm.what)) <= titles, arm.what


def test_arms_differ_by_what_they_are_to_differ_by(plan: Plan):
    conf = {name: a.translation.load(RECIPE) for name, a in plan.arms.items()}
    updates = {name: updates_of(c) for name, c in conf.items()}
    student = {
        arm.student.name: arm.student.step.load(RECIPE)
        for arm in plan.arms.values()
        if arm.student is not None
    }
    both = updates_of(student["all"]) + updates["c_frozen"]
    assert updates["b"] == both and updates["l"] > both
    assert updates["a"] == updates["c_frozen"] == updates["k"] == updates["j"]
    for name, one in student.items():
        assert updates_of(one) == updates_of(student["all"]), name
        if name == "augment":
            assert one["frontend_conf"]["log_mel_conf"].pop("fmax") == 3700
        for key in ("frontend_conf", "optim_conf", "scheduler_conf", "batch_bins"):
            assert one[key] == student["all"][key], (name, key)
    for name, arm in plan.arms.items():
        encoder = conf[name]["frontend_conf"]["model_conf"]
        assert encoder == student["all"]["frontend_conf"]["model_conf"], name
        assert conf[name]["frontend_conf"].get("freeze", False) == arm.frozen, name
        distilled = arm.student is not None and arm.student.kind == "distillation"
        assert conf[name].get("init_from_samu", False) == distilled, name
    assert {**conf["j"], "init_from_samu": True} == conf["c_frozen"]


def test_learning_rate_of_every_arm_falls_to_its_end_with_the_last_update(plan: Plan):
    for share in (1.0, plan.quick["share"]):
        for arm in plan.arms.values():
            steps = [arm.translation] + ([arm.student.step] if arm.student else [])
            for step in steps:
                conf = step.load(RECIPE, share)
                cycle = conf["scheduler_conf"]["first_cycle_steps"]
                assert cycle == updates_of(conf) + 1, arm.name
                assert conf["scheduler_conf"]["max_lr"] == conf["optim_conf"]["lr"]


def test_stored_settings_are_those_of_the_files(plan: Plan):
    stored = read_stored(RECIPE / "study" / "settings.json")
    assert StoredSettings.of(plan, RECIPE) == stored


STUB = """#!/usr/bin/env bash
# Does what run.sh would leave behind.
echo "$*" >> calls
while [ $# -gt 0 ]; do declare "${1#--}=$2"; shift 2; done
if [ "${seed}" = 2 ]; then echo "no luck"; exit 1; fi
case "${stage}" in
    8)
        mkdir -p "${samu_exp}/retrieval_valid.cos_right.best"
        cp -r retrieval/* "${samu_exp}/retrieval_valid.cos_right.best"
        cp log "${samu_exp}/train.log" ;;
    11) mkdir -p "${st_exp}"; cp log "${st_exp}/train.log" ;;
    12) mkdir -p "${st_exp}/decode/study/decode"
        cp hyps "${st_exp}/decode/study/decode/text" ;;
esac
"""
EPOCH = "INFO: {0}epoch results: [train] loss=2.0, total_count={1}, [valid] loss=1.0, "
EPOCH += "cos_right=0.5, acc=0.{0}, total_count=9\n"


@pytest.fixture()
def recipe(tmp_path: Path, monkeypatch) -> Path:
    """A recipe whose run.sh is a stub, as the folder of the process."""
    for name in ("conf", "study", "local"):
        shutil.copytree(
            RECIPE / name, tmp_path / name, ignore=shutil.ignore_patterns("runs")
        )
    (tmp_path / "run.sh").write_text(STUB, encoding="utf-8")
    (tmp_path / "run.sh").chmod(0o755)
    log = "".join(EPOCH.format(i, 200 * i) for i in range(1, 7))
    (tmp_path / "log").write_text(log, encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "slots.txt").write_text("two\nten\n", encoding="utf-8")
    hyps = {}
    sets = {"test": "it ru", "test_menardi": "it", "test_prompts": "ru", "dev": "es"}
    for dset, langs in sets.items():
        utts = {f"{lang}-{dset}": lang for lang in langs.split()}
        refs = {utt: "two messages" for utt in utts}
        write_text(tmp_path / "dump" / "raw" / dset / "utt2lang", utts)
        write_text(tmp_path / "dump" / "raw" / dset / "text.tc.en", refs)
        scores = [{"lang": "it", "direction": "speech-text", "r1": 0.5}]
        folder = tmp_path / "retrieval" / dset
        folder.mkdir(parents=True)
        (folder / "retrieval.json").write_text(json.dumps({"scores": scores}))
        hyps |= {utt: "ten messages" for utt in refs}
    write_text(tmp_path / "hyps", hyps)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def calls(recipe: Path) -> list[str]:
    """Return stages and experiment folders of the calls of run.sh, and forget them."""
    path = recipe / "calls"
    if not path.exists():
        return []
    words = [line.split() for line in path.read_text().splitlines()]
    path.unlink()
    return [f"{w[w.index('--stage') + 1]} {w[w.index('--expdir') + 1]}" for w in words]


def test_run_is_made_once_with_all_that_it_needs(recipe: Path):
    command = ["--arms", "c_frozen", "--seeds", "1", "--jobs", "1"]
    assert run_arms.main(command) == 0
    student, teacher = "exp/study/students/all/seed1", "exp/study/teachers/seed1"
    arm = "exp/study/arms/c_frozen/seed1"
    expected = [f"6 {teacher}", f"6 {student}", f"8 {student}", f"9 {student}"]
    assert calls(recipe) == [*expected, f"11 {arm}", f"12 {arm}"]
    (run,) = read_runs("study/runs")
    assert (run.arm, run.letter, run.seed, run.status) == ("c_frozen", "c", 1, "ok")
    assert [*run.settings] == ["hash"]
    assert run.updates == {"distillation": 1200, "translation": 1200}
    assert set(run.seconds) >= {"distillation", "translation", "decoding"}
    assert run.retrieval == {"test": {"it": 0.5}, "test_menardi": {"it": 0.5}}
    assert run.curves["translation"][1]["acc"] == 0.2 and run.dev["acc"] == 0.6
    assert run.dev["bleu"].keys() == {"es"}
    assert {dset: len(utts) for dset, utts in run.utterances.items()} == {
        "test": 2,
        "test_menardi": 1,
        "test_prompts": 1,
    }
    utt = run.utterances["test"][0]
    assert (utt.hyp, utt.slots_right, utt.slots) == ("ten messages", 0, 1)

    assert run_arms.main(command) == 0
    assert calls(recipe) == []
    # Another arm has the same student.
    assert run_arms.main(["--arms", "c_full", "--seeds", "1", "--jobs", "1"]) == 0
    arm = "exp/study/arms/c_full/seed1"
    assert calls(recipe) == [f"11 {arm}", f"12 {arm}"]
    assert read_run("study/runs/c_full/seed1.json").retrieval is None


def test_two_calls_do_not_work_in_one_folder(recipe: Path):
    command = ["--arms", "c_frozen", "--seeds", "1"]
    with run_arms.lock(Path("exp/study")):
        with pytest.raises(
            ValueError, match=f"process {os.getpid()}, .* in exp/study:"
        ):
            run_arms.main(command)
        assert run_arms.main([*command, "--dry_run", "true"]) == 0
    assert calls(recipe) == []
    assert run_arms.main(command) == 0


def test_failed_run_is_recorded_and_does_not_stop_the_others(recipe: Path):
    command = ["--arms", "c_adapters c_frozen", "--seeds", "2 1", "--jobs", "2"]
    assert run_arms.main(command) == 1
    runs = {(run.arm, run.seed): run for run in read_runs("study/runs")}
    assert [runs[arm, 1].status for arm in ("c_adapters", "c_frozen")] == ["ok"] * 2
    for arm in ("c_adapters", "c_frozen"):
        error = "students/all/seed2: teachers/seed2: teacher: exit status 1: no luck"
        assert (runs[arm, 2].status, runs[arm, 2].error) == ("failed", error)
    calls(recipe)
    # What failed is not tried again by itself.
    assert run_arms.main(command) == 0
    assert calls(recipe) == []
    assert run_arms.main([*command, "--retry_failed", "true", "--dry_run", "true"]) == 0
    assert [run.status for run in read_runs("study/runs")].count("failed") == 2
    stub = (recipe / "run.sh").read_text().replace("= 2 ]", "= 9 ]")
    (recipe / "run.sh").write_text(stub)
    assert run_arms.main([*command, "--retry_failed", "true"]) == 0
    assert {run.status for run in read_runs("study/runs")} == {"ok"}


def test_training_that_lacks_updates_is_a_failed_run(recipe: Path):
    log = (recipe / "log").read_text().splitlines(keepends=True)
    (recipe / "log").write_text("".join(log[:5]), encoding="utf-8")
    assert run_arms.main(["--arms", "c_frozen", "--seeds", "1"]) == 1
    error = read_run("study/runs/c_frozen/seed1.json").error
    assert error == "ValueError: translation made 1000 of 1200 updates"


def test_changed_setting_is_stored_beside_the_others(recipe: Path):
    command = ["--arms", "c_frozen", "--seeds", "1"]
    assert run_arms.main(command) == 0
    calls(recipe)
    conf = recipe / "conf" / "train_st.yaml"
    conf.write_text(
        conf.read_text().replace("frame_dropout: 0.6", "frame_dropout: 0.3")
    )
    assert run_arms.main(command) == 0
    stored, changed = read_runs("study/runs")
    assert stored.arm == "c_frozen" and stored.hash != changed.hash
    assert changed.arm == f"c_frozen+{changed.hash}"
    assert dict(changed.settings) == {
        "translation.decoder_conf.frame_dropout": 0.3,
        "hash": changed.hash,
    }
    arm = f"exp/study/arms/{changed.arm}/seed1"
    assert calls(recipe) == [f"11 {arm}", f"12 {arm}"]


def test_teacher_of_other_updates_is_another_one(recipe: Path):
    command = ["--arms", "c_frozen", "--seeds", "1", "--jobs", "1"]
    assert run_arms.main(command) == 0
    calls(recipe)
    plan = recipe / "study" / "arms.yaml"
    text = plan.read_text()
    plan.write_text(text.replace("teacher_updates: 400", "teacher_updates: 800"))
    assert run_arms.main(command) == 0
    assert calls(recipe)[:1] == ["6 exp/study/teachers/seed1+800"]
    assert len(read_runs("study/runs")) == 2
    plan.write_text(text)
    assert run_arms.main(command) == 0 and calls(recipe) == []


def test_student_of_other_settings_is_not_taken_for_this_one(recipe: Path):
    command = ["--arms", "c_frozen", "--seeds", "1", "--jobs", "1"]
    assert run_arms.main(command) == 0
    calls(recipe)
    student = recipe / "exp" / "study" / "students" / "all" / "seed1"
    conf = student / "train.yaml"
    conf.write_text(conf.read_text().replace("lr: 0.0015", "lr: 0.003"))
    (recipe / "study" / "runs" / "c_frozen" / "seed1.json").unlink()
    with pytest.raises(ValueError, match=r"all/seed1/train.yaml has other settings"):
        run_arms.main(command)


def test_run_begun_with_other_settings_is_not_gone_on_with(recipe: Path):
    command = ["--arms", "c_frozen", "--seeds", "1", "--jobs", "1"]
    assert run_arms.main(command) == 0
    calls(recipe)
    (recipe / "study" / "runs" / "c_frozen" / "seed1.json").unlink()
    arm = recipe / "exp" / "study" / "arms" / "c_frozen" / "seed1"
    conf = (arm / "train.yaml").read_text()
    (arm / "train.yaml").write_text(conf.replace("lr: 0.002", "lr: 0.003"))
    with pytest.raises(ValueError, match="frozen/seed1/train.yaml has other settings"):
        run_arms.main(command)
    assert calls(recipe) == []
    (arm / "train.yaml").write_text(conf)
    assert run_arms.main(command) == 0


def test_stored_run_of_other_settings_is_not_taken_for_this_one(recipe: Path):
    command = ["--arms", "c_frozen", "--seeds", "1"]
    assert run_arms.main(command) == 0
    conf = recipe / "conf" / "train_st.yaml"
    conf.write_text(
        conf.read_text().replace("frame_dropout: 0.6", "frame_dropout: 0.3")
    )
    assert run_arms.main(["--store", "true"]) == 0
    with pytest.raises(ValueError, match="seed1.json was made with other settings"):
        run_arms.main(command)


def test_quick_study_is_apart(recipe: Path):
    apart = ["--root", "exp/quick", "--runs", "exp/quick/runs", "--quick", "true"]
    assert run_arms.main([*apart, "--arms", "b", "--dry_run", "true"]) == 0
    assert calls(recipe) == []
    run_arms.main([*apart, "--arms", "a", "--jobs", "1"])
    (run,) = read_runs("exp/quick/runs")
    assert run.arm == "a" and not (recipe / "study" / "runs").exists()


def test_study_with_another_encoder_and_gpus(recipe: Path):
    encoder = "conf/tuning/train_samu_xlsr.yaml"
    apart = ["--root", "exp/xlsr", "--runs", "exp/xlsr/runs", "--encoder", encoder]
    command = [*apart, "--ngpu", "1", "--arms", "c_frozen", "--seeds", "1"]
    assert run_arms.main([*command, "--jobs", "1"]) == 0
    assert "--ngpu 1 --gpu_inference true" in (recipe / "calls").read_text()
    (run,) = read_runs("exp/xlsr/runs")
    assert (run.arm, [*run.settings]) == ("c_frozen", ["hash"])
    assert run.machine.endswith("cores, 1 GPU")
    for name in ("students/all", "arms/c_frozen"):
        conf = yaml.safe_load(Path(f"exp/xlsr/{name}/seed1/train.yaml").read_text())
        model = conf["frontend_conf"]["model"]
        assert model == "facebook/wav2vec2-xls-r-300m", name
        assert conf["frontend_conf"].get("freeze", False) is name.startswith("arms")
    assert not (recipe / "study" / "runs").exists()
    # Another setting stands beside the first one, as in the study itself.
    calls(recipe)
    conf = recipe / encoder
    conf.write_text(conf.read_text().replace("lr: 1.0e-4", "lr: 2.0e-4"))
    assert "2.0e-4" in conf.read_text()
    assert run_arms.main([*command, "--jobs", "1"]) == 0
    first, second = read_runs("exp/xlsr/runs")
    assert first == run and second.arm == f"c_frozen+{second.hash}"
    assert second.settings["distillation.optim_conf.lr"] == 2.0e-4
    assert " exp/xlsr/students/all+" in calls(recipe)[0]
