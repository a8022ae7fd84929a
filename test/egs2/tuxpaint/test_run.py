"""run.sh and the configurations of tuxpaint: two arms that can be compared."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

RECIPE = Path(__file__).parents[3] / "egs2" / "tuxpaint" / "samu_st1"
STUB = "#!/usr/bin/env bash\nprintf '<%s>' \"$@\" >> calls\necho >> calls\n"
BASELINE = "conf/tuning/train_st_whisper.yaml"


def load(name: str) -> dict:
    """Return a configuration."""
    return yaml.safe_load((RECIPE / name).read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path):
    """Function that runs it in a folder of its own; status, output, calls."""
    shutil.copy(RECIPE / "run.sh", tmp_path)
    (tmp_path / "samu_st.sh").write_text(STUB)
    os.chmod(tmp_path / "samu_st.sh", 0o755)

    def run(*options):
        (tmp_path / "calls").unlink(missing_ok=True)
        result = subprocess.run(
            ["./run.sh", *options], cwd=tmp_path, capture_output=True, text=True
        )
        calls = tmp_path / "calls"
        calls = calls.read_text().splitlines() if calls.exists() else []
        return result.returncode, result.stdout + result.stderr, calls

    return run


def test_both_arms(run):
    status, output, calls = run("--encoder", "a/b", "--seed", "2", "--nj", "3")
    assert status == 0, output
    stages = [call.split("<--stage>")[1] for call in calls]
    compared = f"<13><--stop_stage><13><--baseline_config><{BASELINE}>"
    assert stages == ["<1><--stop_stage><12>", "<11><--stop_stage><12>", compared]
    assert [f"<--st_config><{BASELINE}>" in call for call in calls] == [0, 1, 0]
    for call in calls:
        assert "<--train_args><--seed 2 --frontend_conf model=a/b>" in call
        assert "<--expdir><exp/seed2>" in call and "<--nj><3>" in call


def test_some_stages(run):
    assert len(run("--stop_stage", "9")[2]) == 1
    _, _, calls = run("--stage", "12", "--baseline", "false")
    assert len(calls) == 2 and not any(BASELINE in call for call in calls)
    (call,) = run("--stage", "14", "--stop-stage", "14")[2]
    assert "<--stage><14><--stop_stage><14>" in call


def test_mistake_and_help(run):
    assert run("--baseline", "yes")[::2] == (2, [])
    status, output, calls = run("--help")
    assert status == 0 and calls == []
    for name in ("encoder", "teacher", "baseline", "seed", "stage", "stop_stage"):
        assert f"\n    --{name} " in output


def test_arms_differ_by_distillation_alone():
    student, distilled, baseline = map(
        load, ("conf/train_samu.yaml", "conf/train_st.yaml", BASELINE)
    )

    def updates(conf):
        n = conf["max_epoch"] * conf["num_iters_per_epoch"]
        assert conf["scheduler_conf"]["first_cycle_steps"] == n + 1
        return n

    assert updates(baseline) == updates(student) + updates(distilled)
    for name in ("frontend", "frontend_conf", "encoder", "encoder_conf"):
        assert student[name] == distilled[name] == baseline[name], name
    assert distilled.pop("init_from_samu")
    assert distilled.pop("trainable") == {"encoder": "none", "decoder": "all"}
    for conf in (distilled, baseline):
        conf.pop("max_epoch")
        conf["scheduler_conf"].pop("first_cycle_steps")
    assert distilled == baseline


def test_speed_perturbation(tmp_path):
    """Each recording once more; sox is only asked whether it is there."""
    (tmp_path / "tools").symlink_to(RECIPE.parents[2] / "tools")
    (tmp_path / "egs2").mkdir()
    (tmp_path / "egs2" / "TEMPLATE").symlink_to(RECIPE.parents[1] / "TEMPLATE")
    recipe = tmp_path / "egs2" / "tuxpaint" / "samu_st1"
    left_out = shutil.ignore_patterns("data", "dump", "exp", "downloads", "study")
    shutil.copytree(RECIPE, recipe, symlinks=True, ignore=left_out)
    data = recipe / "data" / "samu_train"
    data.mkdir(parents=True)
    utterances = [f"reader-{n}" for n in range(5)]
    fields = {"wav.scp": "a.flac", "text.tc.multi": "A tree.", "utt2lang": "es"}
    for name, value in (fields | {"utt2spk": "reader"}).items():
        lines = [f"{utterance} {value}\n" for utterance in utterances]
        (data / name).write_text("".join(lines))
    (data / "spk2utt").write_text(f"reader {' '.join(utterances)}\n")
    sox = tmp_path / "sox"
    sox.write_text("#!/bin/sh\n")
    sox.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["local/perturb.sh"], cwd=recipe, env=env, check=True)
    made = recipe / "data" / "samu_train_sp"
    lines = (made / "wav.scp").read_text().splitlines()
    assert [sum(end in line for line in lines) for end in ("0.9 |", "1.1 |")] == [3, 2]
    found = [re.sub(r"^sp\d\.\d-", "", line.split()[0]) for line in lines]
    assert sorted(found) == sorted(2 * utterances)
    assert len((made / "text.tc.multi").read_text().splitlines()) == 10
