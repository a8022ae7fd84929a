"""The mini recipe's configurations belong together."""

from pathlib import Path

import pytest
import yaml

CONF = Path(__file__).parents[3] / "egs2" / "mini_asterisk" / "samu_st1" / "conf"
# Parts that are trained.
TRAINED = {
    "train_st.yaml": {"decoder"},
    "tuning/train_st_adapters.yaml": {"frontend", "decoder"},
    "tuning/train_st_augment.yaml": {"decoder"},
    "tuning/train_st_default.yaml": {"encoder", "decoder"},
    "tuning/train_st_lora.yaml": {"frontend", "decoder"},
    "tuning/train_st_s3prl.yaml": {"preencoder", "encoder", "decoder"},
    "tuning/train_st_xlsr.yaml": {"frontend", "decoder"},
}


def load(name: str) -> dict:
    return yaml.safe_load((CONF / name).read_text(encoding="utf-8"))


def updates(conf: dict) -> int:
    return conf["max_epoch"] * conf["num_iters_per_epoch"]


def test_baseline_has_as_many_updates_as_both_steps_of_the_distilled_arm():
    both = updates(load("train_samu.yaml")) + updates(load("train_st.yaml"))
    assert updates(load("tuning/train_st_xlsr.yaml")) == both


@pytest.mark.parametrize(
    "name",
    ["train_st.yaml"]
    + [
        f"tuning/train_st_{n}.yaml" for n in ("adapters", "lora", "samu_weight", "xlsr")
    ],
)
def test_translation_has_the_student_s_encoder(name: str):
    student, st = load("train_samu.yaml")["frontend_conf"], load(name)["frontend_conf"]
    assert st["log_mel_conf"] == student["log_mel_conf"]
    assert st["model_conf"] == student["model_conf"]


def test_auxiliary_distillation_differs_by_what_is_trained():
    frozen, kept = load("train_st.yaml"), load("tuning/train_st_samu_weight.yaml")
    assert kept.pop("samu_weight") > 0
    assert 0 < kept["model_conf"].pop("freeze_encoder_updates") < updates(kept)
    assert frozen["frontend_conf"].pop("freeze") and kept == frozen


@pytest.mark.parametrize("step", ["samu", "st"])
def test_augmented_differs_by_speech_alone(step: str):
    plain = load(f"train_{step}.yaml")
    augmented = load(f"tuning/train_{step}_augment.yaml")
    speech = augmented.pop("preprocessor_conf")
    assert speech == load("tuning/train_samu_augment.yaml")["preprocessor_conf"]
    assert augmented["frontend_conf"]["log_mel_conf"].pop("fmax") == 3700
    assert augmented == plain


def test_baseline_differs_by_distillation_alone():
    distilled, baseline = load("train_st.yaml"), load("tuning/train_st_xlsr.yaml")
    assert distilled["init_from_samu"] and "init_from_samu" not in baseline
    for key in ("decoder", "model_conf", "batch_type", "batch_bins", "grad_clip"):
        assert baseline[key] == distilled[key], key
    decoder = distilled["decoder_conf"]["model_conf"]
    assert baseline["decoder_conf"]["model_conf"] == decoder


@pytest.mark.parametrize(
    "name",
    ["train_samu.yaml", "train_st.yaml", "tuning/train_samu_augment.yaml"]
    + [
        f"tuning/train_st_{n}.yaml"
        for n in (
            "adapters",
            "augment",
            "lora",
            "samu_weight",
            "xlsr",
            "s3prl",
            "default",
        )
    ],
)
def test_learning_rate_falls_to_its_end_with_the_last_update(name: str):
    conf = load(name)
    assert conf["scheduler_conf"]["first_cycle_steps"] == updates(conf) + 1
    assert conf["scheduler_conf"]["max_lr"] == conf["optim_conf"]["lr"]


@pytest.fixture(scope="module")
def students(tmp_path_factory) -> dict[str, str]:
    """Files of students as they begin, by the end of the files' names."""
    import torch

    from espnet_samu.tasks.samu import SAMUTask

    students = {}
    for end in ("", "_augment"):
        folder = tmp_path_factory.mktemp("student")
        name = f"tuning/train_samu{end}.yaml" if end else "train_samu.yaml"
        cmd = ["--config", str(CONF / name), "--output_dir", str(folder)]
        SAMUTask.main(cmd=[*cmd, "--dry_run", "true", "--ngpu", "0"])
        model, _ = SAMUTask.build_model_from_file(folder / "config.yaml")
        torch.save(model.state_dict(), folder / "model.pth")
        students[end] = str(folder / "model.pth")
    return students


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", TRAINED)
def test_a_step_of_translation(students, name: str, tmp_path):
    import torch

    from espnet_samu.tasks.st import STTask

    tokens = ["<blank>", "<unk>", *"abcdefgh", "<sos/eos>"]
    (tmp_path / "tokens.txt").write_text("\n".join(tokens) + "\n")
    cmd = ["--config", str(CONF / name), "--output_dir", str(tmp_path)]
    cmd += ["--token_list", str(tmp_path / "tokens.txt"), "--token_type", "char"]
    if load(name).get("init_from_samu"):
        cmd += ["--samu_model", students["_augment" if "augment" in name else ""]]
    STTask.main(cmd=[*cmd, "--dry_run", "true", "--ngpu", "0"])
    model, _ = STTask.build_model_from_file(tmp_path / "config.yaml")
    model.train()
    speech = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
    loss, _, _ = model(
        speech=speech,
        speech_lengths=torch.tensor([16000, 12000]),
        text=torch.tensor([[2, 3, 4], [5, 6, -1]]),
        text_lengths=torch.tensor([3, 2]),
    )
    loss.backward()
    assert torch.isfinite(loss)
    parts = {
        parameter_name.split(".")[0]
        for parameter_name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }
    assert parts == TRAINED[name]
