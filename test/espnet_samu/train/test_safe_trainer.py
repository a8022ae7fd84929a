import shutil
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from espnet2.main_funcs.calculate_all_attentions import calculate_all_attentions
from espnet2.train import trainer
from espnet2.train.reporter import Reporter
from espnet2.train.trainer import Trainer, TrainerOptions
from transformers.modeling_outputs import BaseModelOutput
from typeguard import TypeCheckError, typechecked

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.samu_model import ESPnetSAMUModel
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.tasks.st import STTask
from espnet_samu.train.safe_trainer import (
    CHECKPOINT,
    EARLIER,
    SafeTrainer,
    plotted_cross_attention,
)
from espnet_samu.utils.kaldi_io import write_text

SIZES = {
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
    **{"d_model": 16, "decoder_ffn_dim": 32, "max_position_embeddings": 32},
}

# One update an epoch; its third batch has gradients that no update has used.
EPOCHS = {
    "max_epoch": 3,
    "num_iters_per_epoch": 3,
    "accum_grad": 2,
    "batch_size": 2,
    "optim": "adam",
    "optim_conf": {"lr": 0.01},
    "scheduler": "warmuplr",
    "scheduler_conf": {"warmup_steps": 3},
}
RANDOM = {
    "hidden_dropout": 0.2,
    "layerdrop": 0.3,
    "mask_time_prob": 0.3,
    "mask_time_length": 2,
}
BALANCED = {
    "balance_languages": True,
    "upsampling_factor": 0.0,
    "batch_type": "numel",
    "batch_bins": 10000,
}
SPARED = {
    "adapters": {"encoder": {"type": "houlsby", "size": 2}},
    "save_trained_only": True,
    "use_amp": True,
    "model_conf": {"report_bleu": False, "freeze_encoder_updates": 2},
}


@pytest.fixture(scope="module")
def uninterrupted(samu_cmd, tmp_path_factory):
    """Folder of three epochs in one go."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    SAMUTask.main(cmd=samu_cmd(folder, **EPOCHS))
    return folder


def read(folder):
    return torch.load(folder / CHECKPOINT, weights_only=True)


def assert_equal(one, other, name=""):
    """Assert that two nested states are the same, bit by bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key, value in one.items():
            assert_equal(value, other[key], f"{name}.{key}")
    elif isinstance(one, list):
        for i, (value, theirs) in enumerate(zip(one, other, strict=True)):
            assert_equal(value, theirs, f"{name}[{i}]")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), name
    else:
        assert one == other, name


def assert_same_training(one, other):
    states = [read(folder) for folder in (one, other)]
    stats = [state.pop("reporter")["stats"] for state in states]
    assert_equal(*states)
    assert sorted(stats[0]) == sorted(stats[1]) == [1, 2, 3]
    for epoch, values in stats[0].items():
        for key in ("train", "valid"):
            assert values[key]["loss"] == stats[1][epoch][key]["loss"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["samu", "st"])
def test_resumed_after_each_epoch(
    kind, samu_cmd, st_cmd, frontend_conf, data, tmp_path, monkeypatch
):
    """Gradients, iterators, random numbers and scale are those of one run."""
    folder = shutil.copytree(data, tmp_path / "data")
    languages = {"utt1": "fr", "utt2": "fr", "utt3": "fr", "utt4": "cy"}
    write_text(folder / "utt2lang", languages)
    samples = {"utt1": "3000", "utt2": "5000", "utt3": "2000", "utt4": "4000"}
    write_text(folder / "shape", samples)
    model_conf = {**frontend_conf["model_conf"], **RANDOM}
    conf = {**EPOCHS, **BALANCED, "frontend_conf": {"model_conf": model_conf}}
    task, make = SAMUTask, samu_cmd
    if kind == "st":
        task, make = STTask, st_cmd
        conf.update(SPARED)
        # ESPnet's mixed precision, on the CPU
        scaler = partial(torch.amp.GradScaler, "cpu", growth_interval=2)
        monkeypatch.setattr(trainer, "GradScaler", scaler)
        monkeypatch.setattr(
            trainer,
            "autocast",
            lambda device, enabled: torch.autocast("cpu", torch.bfloat16, enabled),
        )

    def train(output_dir, *args):
        cmd = [x.replace(str(data), str(folder)) for x in make(output_dir, **conf)]
        for i, name in enumerate(cmd):
            if name.endswith("_shape_file"):
                cmd[i + 1] = f"{folder}/shape"
        task.main(cmd=[*cmd, *args])

    train(tmp_path / "one")
    for epoch in (1, 2, 3):
        train(tmp_path / "two", "--resume", "true", "--max_epoch", str(epoch))
        assert read(tmp_path / "two")["optimizers"][0]["accumulated_gradients"]
    assert_same_training(tmp_path / "one", tmp_path / "two")
    if kind == "st":
        assert read(tmp_path / "one")["scaler"]["scale"] == 2**17


def test_killed_and_resumed(uninterrupted, samu_cmd, tmp_path, monkeypatch):
    """Killed in the middle of the second epoch."""
    forward, calls = ESPnetSAMUModel.forward, []

    def killed(self, *args, **kwargs):
        calls.append(self.training)
        if sum(calls) == 5:
            raise KeyboardInterrupt
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(ESPnetSAMUModel, "forward", killed)
    with pytest.raises(KeyboardInterrupt):
        SAMUTask.main(cmd=samu_cmd(tmp_path, "--resume", "true", **EPOCHS))
    monkeypatch.undo()
    assert (tmp_path / "1epoch.pth").exists() and not (tmp_path / "2epoch.pth").exists()
    SAMUTask.main(cmd=samu_cmd(tmp_path, "--resume", "true", **EPOCHS))
    assert_same_training(uninterrupted, tmp_path)
    assert not (tmp_path / EARLIER).exists()


@pytest.mark.parametrize("half_of", [1, 2])
def test_killed_while_saving(samu_cmd, tmp_path, monkeypatch, uninterrupted, half_of):
    """The checkpoint of an epoch is half there, the epoch's model not at all."""
    save = torch.save
    saved = []

    def save_half(state, path):
        if str(path).endswith(CHECKPOINT):
            saved.append(path)
            if len(saved) == half_of:
                path.write_bytes(b"half a file")
                raise KeyboardInterrupt
        save(state, path)

    monkeypatch.setattr(torch, "save", save_half)
    with pytest.raises(KeyboardInterrupt):
        SAMUTask.main(cmd=samu_cmd(tmp_path, "--resume", "true", **EPOCHS))
    monkeypatch.undo()
    assert (tmp_path / CHECKPOINT).read_bytes() == b"half a file"
    assert not (tmp_path / f"{half_of}epoch.pth").exists()
    SAMUTask.main(cmd=samu_cmd(tmp_path, "--resume", "true", **EPOCHS))
    assert_same_training(uninterrupted, tmp_path)


def test_another_schedule(uninterrupted, samu_cmd, tmp_path):
    """What a resume changes is what an uninterrupted training would have by then."""
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    conf = {**EPOCHS, "optim_conf": {"lr": 0.03, "weight_decay": 0.5}, "max_epoch": 4}
    conf["scheduler_conf"] = {"warmup_steps": 8}
    # killed in that epoch, before anything is saved
    cmd = samu_cmd(tmp_path, "--resume", "true", **conf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SafeTrainer, "validate_one_epoch", None)
        with pytest.raises(TypeError):
            SAMUTask.main(cmd=cmd)
    SAMUTask.main(cmd=cmd)
    state = read(tmp_path)
    (group,) = state["optimizers"][0]["param_groups"]
    assert (group["initial_lr"], group["weight_decay"]) == (0.03, 0.5)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.03)
    scheduler = trainer_schedule(optimizer, state["schedulers"][0]["last_epoch"])
    assert group["lr"] == scheduler.get_last_lr()[0]
    assert state["schedulers"][0] == scheduler.state_dict()


def trainer_schedule(optimizer, steps):
    from espnet2.schedulers.warmup_lr import WarmupLR

    scheduler = WarmupLR(optimizer, warmup_steps=8)
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
    return scheduler


def test_mixed_precision_after_a_cpu(uninterrupted, samu_cmd, tmp_path, monkeypatch):
    """A CPU saves no scale; ESPnet would not resume from that."""
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    state = {**read(tmp_path), "scaler": {}}
    torch.save(state, tmp_path / CHECKPOINT)
    scaler = partial(torch.amp.GradScaler, "cpu", init_scale=8.0)
    monkeypatch.setattr(trainer, "GradScaler", scaler)
    conf = {**EPOCHS, "max_epoch": 4, "use_amp": True}
    SAMUTask.main(cmd=samu_cmd(tmp_path, "--resume", "true", **conf))
    assert read(tmp_path)["scaler"]["scale"] == 8.0


def test_the_host_has_what_is_extended():
    for name in ("run", "resume", "train_one_epoch", "validate_one_epoch"):
        assert name in vars(SafeTrainer) and name in vars(Trainer)


def test_types_are_not_checked_in_every_step(tmp_path, monkeypatch):
    @typechecked
    def double(number: int):
        return 2 * number

    monkeypatch.setattr(
        Trainer, "train_one_epoch", classmethod(lambda cls, **kwargs: double("a"))
    )
    options = SimpleNamespace(output_dir=tmp_path)
    model = torch.nn.Linear(1, 1)
    assert SafeTrainer.train_one_epoch(options, model=model) == "aa"
    with pytest.raises(TypeCheckError):
        double("a")


class Model(torch.nn.Module):
    """A model of ESPnet's with nothing but a decoder."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, speech, speech_lengths, text, text_lengths):
        return self.decoder(speech, speech_lengths, text, text_lengths)


@pytest.mark.parametrize("family", ["mbart", "m2m_100", "bart"])
def test_weights_are_those_of_transformers(family):
    torch.manual_seed(0)
    conf = {**SIZES, "model_type": family, "pad_token_id": 1, "eos_token_id": 2}
    decoder = MBartDecoder(20, 16, model_conf=conf, lang_token_id=9).eval()
    batch = {
        "speech": torch.randn(2, 7, 16),
        "speech_lengths": torch.tensor([7, 5]),
        "text": torch.tensor([[2, 5, 6, 7], [2, 9, 4, -1]]),
        "text_lengths": torch.tensor([4, 3]),
    }
    model = Model(decoder)
    before = model(**batch)[0]
    with plotted_cross_attention(model):
        found = calculate_all_attentions(model, batch)
    assert sorted(found) == ["cross_attention.0", "cross_attention.1"]
    for layer in range(2):
        # start, language and words by frames, one mean over the heads
        shapes = [tuple(w.shape) for w in found[f"cross_attention.{layer}"]]
        assert shapes == [(1, 5, 7), (1, 4, 5)]

    # as it was
    assert decoder.model.config._attn_implementation == "sdpa"
    assert not any("cross_attention" in name for name, _ in model.named_modules())
    torch.testing.assert_close(model(**batch)[0], before, rtol=0, atol=0)
    assert calculate_all_attentions(model, batch) == {}

    decoder.model.set_attn_implementation("eager")
    attentions = decoder.model.model(
        encoder_outputs=BaseModelOutput(batch["speech"][1:, :5]),
        attention_mask=torch.ones(1, 5, dtype=torch.long),
        decoder_input_ids=torch.tensor([[2, 9, 9, 4]]),
        output_attentions=True,
    ).cross_attentions
    for layer, weights in enumerate(attentions):
        mine = found[f"cross_attention.{layer}"][1]
        torch.testing.assert_close(mine[0], weights[0].mean(0))


def test_pictures(st_exp, batch, tmp_path):
    """What ESPnet's trainer does after an epoch with num_att_plot."""
    model, _ = STTask.build_model_from_file(None, st_exp / "1epoch.pth")
    names = [*model.state_dict()]
    text = torch.tensor([[3, 4, 5]] * 2)
    data = {"speech": batch[0][:2], "speech_lengths": batch[1][:2]}
    data.update(text=text, text_lengths=torch.tensor([3, 2]))
    options = Mock(spec=TrainerOptions, ngpu=0, no_forward_run=False, use_wandb=False)
    reporter = Reporter(7)
    reporter.set_epoch(7)
    with reporter.observe("att_plot") as sub_reporter:
        SafeTrainer.plot_attention(
            model=model,
            output_dir=tmp_path,
            summary_writer=None,
            iterator=[(["u1", "u2"], data)],
            reporter=sub_reporter,
            options=options,
        )
    pictures = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    layers = range(model.decoder.model.config.decoder_layers)
    assert pictures == {
        f"{utt}/cross_attention.{n}.7ep.png" for utt in ("u1", "u2") for n in layers
    }
    assert [*model.state_dict()] == names
