import json

import pytest
import torch
import yaml

from espnet_samu.layers.adapters import Bottleneck
from espnet_samu.tasks.fine_tuning_task import FineTuningTask
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.tasks.st import STTask
from espnet_samu.utils.torch_modules import adapter_keys

HOULSBY = {"type": "houlsby", "size": 8}
LORA = {"type": "lora", "size": 2}


class Task(STTask, FineTuningTask):
    """ESPnet's task with the options."""

    @classmethod
    def build_model(cls, args):
        model = super().build_model(args)
        if not issubclass(STTask, FineTuningTask):
            cls.set_up_fine_tuning(args, model)
        return model


def load(folder, name="1epoch.pth"):
    return torch.load(folder / name, weights_only=True)


def test_options_are_explained():
    text = " ".join(Task.get_parser().format_help().split())
    assert "all, none, adapters, lna_e, lna_d, lna_ed, cross_attention" in text
    assert "Types: houlsby, pfeiffer, lora; lora has alpha" in text
    assert "written once, to base.pth beside them" in text


def test_rules_from_the_command_line(st_cmd, tmp_path, data):
    trainable = "{encoder: lna_e, decoder: [none, ['layer_norm', true]]}"
    Task.main(cmd=st_cmd(tmp_path, "--trainable", trainable))
    counts = json.loads((tmp_path / "budget.json").read_text())
    # by hand in test_trainable
    assert counts["frontend"]["trainable"] == 2368
    assert counts["decoder"]["trainable"] == 32 + 2 * 3 * 32
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["trainable"] == yaml.safe_load(trainable)
    # a name and nothing else is YAML, too
    args = Task.get_parser().parse_args(["--output_dir", "x", "--trainable", "none"])
    assert args.trainable == "none" and args.adapters is None


@pytest.mark.parametrize("encoder", [HOULSBY, {**HOULSBY, "type": "pfeiffer"}, LORA])
def test_student_with_adapters(st_cmd, samu_exp, batch, tmp_path, encoder):
    student = load(samu_exp)
    Task.main(
        cmd=st_cmd(
            tmp_path,
            *("--init_param", f"{samu_exp}/1epoch.pth:frontend:frontend"),
            adapters={"encoder": encoder, "decoder": HOULSBY},
        )
    )
    state = load(tmp_path)
    pretrained = [key for key in student if key.startswith("frontend.")]
    for key in pretrained:
        assert torch.equal(state[key], student[key]), key
    model, args = Task.build_model_from_file(
        tmp_path / "config.yaml", tmp_path / "1epoch.pth"
    )
    new = {k for k in adapter_keys(model) if k.startswith("frontend.")}
    assert {k for k in state if k.startswith("frontend.")} == {*pretrained, *new}
    counts = json.loads((tmp_path / "budget.json").read_text())
    assert counts["frontend"]["trainable"] == sum(state[k].numel() for k in new)
    # the side that begins with zeros has moved
    last = [k for k in new if ".up." in k or ".lora_B." in k]
    assert last and all(state[key].any() for key in last)
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key
    # before its training it made the student's frames; now others
    frames, _ = model.eval().encode(*batch)
    for module in model.frontend.modules():
        if isinstance(module, Bottleneck):
            torch.nn.init.zeros_(module.up.weight), torch.nn.init.zeros_(module.up.bias)
        elif hasattr(module, "lora_B"):
            torch.nn.init.zeros_(module.lora_B["default"].weight)
    plain = STTask.build_model_from_file(_without_adapters(args, tmp_path))[0]
    plain.frontend.load_state_dict(
        {k.removeprefix("frontend."): student[k] for k in pretrained}
    )
    answer, _ = plain.eval().encode(*batch)
    assert torch.equal(model.encode(*batch)[0], answer)
    assert not torch.equal(frames, answer)


def _without_adapters(args, folder):
    config = {**vars(args), "adapters": None, "trainable": None}
    (folder / "plain.yaml").write_text(yaml.safe_dump(config))
    return folder / "plain.yaml"


def test_adapters_of_a_student_are_filled_in_full(st_cmd, tmp_path):
    """A file with adapters fills them; one with half of them is an error."""
    adapters = {"encoder": HOULSBY}
    first = tmp_path / "first"
    Task.main(cmd=st_cmd(first, adapters=adapters))
    state = load(first)
    spec = f"{first}/1epoch.pth:frontend:frontend"
    other = tmp_path / "other"
    lr = {"optim_conf": {"lr": 0.0}}
    Task.main(cmd=st_cmd(other, "--init_param", spec, adapters=adapters, **lr))
    for key, value in load(other).items():
        if key.startswith("frontend."):
            assert torch.equal(value, state[key]), key
    del state["frontend.model.encoder.layers.0.attention.bottleneck.up.weight"]
    torch.save(state, tmp_path / "half.pth")
    spec = f"{tmp_path}/half.pth:frontend:frontend"
    with pytest.raises(
        ValueError, match=r"1 of 66 .*\.layers\.0.attention.bottleneck.up.w"
    ):
        Task.main(cmd=st_cmd(other, "--init_param", spec, adapters=adapters))


@pytest.mark.parametrize(
    "conf, message",
    [
        (
            {"adapters": {"encoder": HOULSBY}, "use_adapter": True},
            "leave use_adapter, ",
        ),
        (
            {"adapters": {"encoder": {"type": "x"}}},
            "encoder: .* needs a 'type', one of",
        ),
        ({"trainable": "lna"}, "'lna' is not one of the presets"),
        (
            {"trainable": "lna_ed", "decoder": "transformer", "decoder_conf": {}},
            "decoder is TransformerDecoder: only 'all' and rules",
        ),
        (
            {"trainable": "none", "model_conf": {"report_bleu": False}},
            "no parameter is",
        ),
    ],
)
def test_mistakes(st_cmd, tmp_path, conf, message):
    with pytest.raises(ValueError, match=message):
        Task.main(cmd=st_cmd(tmp_path, **conf))


SAVING = {
    "trainable": "lna_ed",
    "max_epoch": 2,
    "keep_nbest_models": 2,
    "model_conf": {"report_bleu": False},
}


@pytest.fixture(scope="module")
def spared(st_cmd, samu_exp, tmp_path_factory):
    """Folders of two epochs from the student: all saved; what was trained."""
    folder = tmp_path_factory.mktemp("spared")
    spec = f"{samu_exp}/1epoch.pth:frontend:frontend"
    for name in ("all", "trained"):
        conf = {**SAVING, "save_trained_only": name == "trained"}
        Task.main(cmd=st_cmd(folder / name, "--init_param", spec, **conf))
    return folder / "all", folder / "trained"


def test_save_trained_only(spared):
    full, small = spared
    names = ("1epoch.pth", "2epoch.pth", "valid.loss.ave_2best.pth")
    for name in names:
        state, trained = load(full, name), load(small, name)
        assert trained.keys() < state.keys()
        # buffers are kept
        assert not any("fc1" in key or "shared" in key for key in trained)
        model, _ = Task.build_model_from_file(small / "config.yaml", small / name)
        for key, value in model.state_dict().items():
            assert torch.equal(value, state[key]), key
    base = load(small, "base.pth")
    counts = json.loads((small / "budget.json").read_text())["all"]
    assert "frontend.model.encoder.layers.0.feed_forward.output_dense.bias" in base
    # tied weights are in the file once
    sizes = {value.data_ptr(): value.numel() for value in base.values()}
    assert sum(sizes.values()) == counts["total"] - counts["trainable"]


def test_save_trained_only_resumed(spared, st_cmd, samu_exp, tmp_path):
    full, _ = spared
    spec = ("--init_param", f"{samu_exp}/1epoch.pth:frontend:frontend")
    conf = {**SAVING, "save_trained_only": True}
    Task.main(cmd=st_cmd(tmp_path, *spec, **{**conf, "max_epoch": 1}))
    Task.main(cmd=st_cmd(tmp_path, *spec, "--resume", "true", **conf))
    model, _ = Task.build_model_from_file(model_file=tmp_path / "2epoch.pth")
    for key, value in load(full, "2epoch.pth").items():
        assert torch.equal(model.state_dict()[key], value), key
    # from other weights
    message = "started with other frozen weights than it would be resumed with"
    cmd = st_cmd(tmp_path, "--resume", "true", **{**conf, "max_epoch": 3})
    with pytest.raises(ValueError, match=message):
        Task.main(cmd=cmd)
    # killed while it wrote the next state
    (tmp_path / "checkpoint.pth").rename(tmp_path / "checkpoint.earlier.pth")
    with pytest.raises(ValueError, match=message):
        Task.main(cmd=cmd)


def test_frozen_weights_must_be_there(spared, tmp_path):
    _, small = spared
    for name in ("config.yaml", "1epoch.pth"):
        (tmp_path / name).write_bytes((small / name).read_bytes())
    with pytest.raises(FileNotFoundError, match="base.pth is missing"):
        Task.build_model_from_file(model_file=tmp_path / "1epoch.pth")
    base = load(small, "base.pth")
    base["decoder.model.model.shared.weight"][5] += 1
    torch.save(base, tmp_path / "base.pth")
    with pytest.raises(ValueError, match="not the file that the checkpoints beside"):
        Task.build_model_from_file(model_file=tmp_path / "1epoch.pth")


def test_student_without_its_frozen_weights(samu_cmd, st_cmd, tmp_path):
    """A translation model starts from all of it."""
    student, st = tmp_path / "student", tmp_path / "st"
    rules = ["lna_e", ["^projector", False]]
    conf = {"trainable": rules, "save_trained_only": True}
    SAMUTask.main(cmd=samu_cmd(student, **conf))
    cmd = st_cmd(
        st,
        *("--samu_model", f"{student}/1epoch.pth"),
        init_from_samu=True,
        samu_weight=1.0,
        model_conf={"report_bleu": False, "length_normalized_loss": True},
        optim_conf={"lr": 0.0},
    )
    Task.main(cmd=cmd)
    model, _ = SAMUTask.build_model_from_file(model_file=student / "1epoch.pth")
    state = load(st)
    for key, value in model.state_dict().items():
        name = key if key.startswith("frontend.") else f"distillation.{key}"
        assert torch.equal(state[name], value), key


def rates(folder):
    groups = load(folder, "checkpoint.pth")["optimizers"][0]["param_groups"]
    return [(len(group["params"]), group["lr"]) for group in groups]


def test_learning_rates_of_parts(st_cmd, tmp_path):
    """Through ESPnet's scheduler, weight decay groups and a resumed training."""
    options = {
        "lr_scales": {"frontend": 0.01, "frontend.model.encoder": 0.1, "decoder": 0.5},
        "optim": "adamw",
        "optim_conf": {"lr": 0.1, "weight_decay": 0.1},
        "postencoder": "length_adaptor",
        "postencoder_conf": {"length_adaptor_n_layers": 1},
        "scheduler": "warmuplr",
        "scheduler_conf": {"warmup_steps": 4},
    }
    Task.main(cmd=st_cmd(tmp_path, **options))
    model, _ = Task.build_model_from_file(None, tmp_path / "1epoch.pth")
    sizes = {
        part: sum(1 for p in model.get_submodule(part).parameters() if p.requires_grad)
        for part in ("postencoder", "decoder", "frontend", "frontend.model.encoder")
    }
    sizes["frontend"] -= sizes["frontend.model.encoder"]
    found = rates(tmp_path)
    assert [n for n, _ in found] == list(sizes.values())
    now = found[0][1]
    assert 0 < now < 0.1
    expected = [now * scale for scale in (1, 0.5, 0.01, 0.1)]
    assert [rate for _, rate in found] == pytest.approx(expected)

    Task.main(cmd=st_cmd(tmp_path, "--resume", "true", **{**options, "max_epoch": 2}))
    later = [rate for _, rate in rates(tmp_path)]
    assert later == pytest.approx([later[0] * s for s in (1, 0.5, 0.01, 0.1)])
    assert later[0] != now
    options["lr_scales"] = {"frontend": 0.5}
    with pytest.raises(ValueError, match="lr_scales"):
        Task.main(cmd=st_cmd(tmp_path, "--resume", "true", **options, max_epoch=3))


@pytest.mark.parametrize(
    "scales, more, message",
    [
        ({"front": 0.1}, {}, "begins with 'front'; there are frontend, decoder"),
        ({"frontend": 0}, {}, "factors above 0.*freeze_param"),
        ([0.1], {}, "is not a dict of names and factors"),
        ({"decoder": 0.1}, {"scheduler": "onecyclelr"}, "onecyclelr sets its own"),
        ({"frontend": 0.1}, {"freeze_param": ["frontend"]}, "begins with 'frontend'"),
    ],
)
def test_bad_learning_rates(st_cmd, tmp_path, scales, more, message):
    with pytest.raises(ValueError, match=message):
        Task.main(cmd=st_cmd(tmp_path, lr_scales=scales, **more))
