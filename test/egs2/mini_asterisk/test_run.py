"""run.sh of the mini recipe: what it passes on, and what it refuses."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[3] / "egs2" / "mini_asterisk" / "samu_st1" / "run.sh"
LORA = "conf/tuning/train_st_lora.yaml"
STUB = "#!/usr/bin/env bash\nprintf '<%s>' \"$@\" >> calls\necho >> calls\n"


@pytest.fixture
def run(tmp_path):
    """Function that runs it in a folder of its own; status, output, calls."""
    shutil.copy(RUN, tmp_path)
    shutil.copytree(RUN.parent / "conf", tmp_path / "conf")
    (tmp_path / "samu_st.sh").write_text(STUB)
    os.chmod(tmp_path / "samu_st.sh", 0o755)

    def run(*options):
        (tmp_path / "calls").unlink(missing_ok=True)
        result = subprocess.run(
            ["./run.sh", *options],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        calls = tmp_path / "calls"
        calls = calls.read_text().splitlines() if calls.exists() else []
        return result.returncode, result.stdout, calls

    return run


def test_both_arms(run):
    status, output, calls = run("--st_args", "--max_epoch 2", "--seed", "2")
    assert status == 0, output
    assert len(calls) == 7
    baseline = [c for c in calls if "<--st_config><conf/tuning/train_st_xlsr" in c]
    assert len(baseline) == 1 and "<--stop_stage><12>" in baseline[0]
    # The table of the distilled model is printed first, by itself.
    *_, last = calls
    alone = [c for c in calls if "<--stage><13><--stop_stage><13>" in c]
    assert len(alone) == 2 and alone[1] == last
    assert "--baseline_config" not in alone[0]
    assert "<--baseline_config><conf/tuning/train_st_xlsr.yaml>" in last
    for call in calls:
        # The seed is not lost to the user's arguments.
        assert "<--train_args><--seed 2 --frames_cache_dtype float32>" in call
        assert "<--st_args><--max_epoch 2>" in call
        assert "<--expdir><exp/seed2>" in call


@pytest.mark.parametrize("option", ["--st_exp", "--st_tag"])
def test_one_folder_for_two_models_is_refused(run, option):
    status, output, calls = run(option, "mine")
    assert status == 2 and calls == []
    assert output == (
        f"Error: {option} names the folder of one model, but two are trained: pass "
        "--baseline false, too\n"
    )
    # As the study does.
    status, output, calls = run("--baseline", "false", option, "mine")
    assert status == 0 and len(calls) == 1
    assert f"<{option}><mine>" in calls[0]
    config = "conf/tuning/train_st_lora.yaml"
    assert run("--st_config", config, option, "mine")[0] == 0


def test_help(run):
    status, output, calls = run("--stage", "1", "--help")
    assert status == 0 and calls == []
    for name in ("baseline", "seed", "stage", "stop_stage", "expdir", "st_config"):
        assert f"\n    --{name} " in output
    assert "./samu_st.sh --help" in output


XLSR = "conf/tuning/train_st_xlsr.yaml"


@pytest.mark.parametrize(
    "options, updates",
    [
        ([], "updates_distillation=1800 updates_translation=1200"),
        (["--st_config", XLSR], "updates_translation=3000"),
        (["--baseline", "false", "--samu_args", "--max_epoch 1"], ""),
        (["--baseline", "false", "--st_args", "--max_epoch 1"], ""),
    ],
)
def test_updates_are_those_of_the_trainings(run, options, updates):
    status, output, calls = run("--stage", "13", *options)
    assert status == 0, output
    said = calls[-1].split("seed=1")[1].split(">")[0]
    assert said.split(" updates_baseline")[0].strip() == updates


def test_baseline_is_true_or_false(run):
    status, output, calls = run("--baseline", "yes")
    assert status == 2 and calls == []
    assert output == "Error: --baseline must be true or false: 'yes'\n"


def test_options_with_hyphens(run):
    status, output, calls = run("--st-config", LORA, "--stop-stage", "10")
    assert status == 0, output
    (call,) = calls
    assert f"<--st_config><{LORA}>" in call
    assert "<--stage><1><--stop_stage><10>" in call
    status, output, calls = run("--st-tag", "mine")
    assert status == 2 and calls == []
    assert "Error: --st_tag names the folder of one model" in output
