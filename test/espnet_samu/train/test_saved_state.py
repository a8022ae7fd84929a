import pytest

from espnet_samu.train.saved_state import (
    CHECKPOINT,
    EARLIER,
    compare_options,
    has_state,
    is_fixed,
    kept_config,
)


def test_of_a_killed_training(tmp_path):
    assert not has_state(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"state")
    assert has_state(tmp_path)
    # killed while the second epoch was written, with and without half a file
    (tmp_path / CHECKPOINT).rename(tmp_path / EARLIER)
    assert has_state(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"st")
    assert has_state(str(tmp_path))
    # killed while the first epoch was written
    (tmp_path / EARLIER).write_bytes(b"")
    assert not has_state(tmp_path)


def test_config_of_the_saved_state(tmp_path):
    config, earlier = tmp_path / "config.yaml", tmp_path / "config.earlier.yaml"
    config.write_text("old")
    # no state: a training that was never begun
    with kept_config(tmp_path):
        config.write_text("first")
    assert config.read_text() == "first"
    (tmp_path / CHECKPOINT).touch()
    with pytest.raises(KeyboardInterrupt), kept_config(tmp_path):
        config.write_text("refused")
        raise KeyboardInterrupt
    assert config.read_text() == "first" and not earlier.exists()
    # killed inside
    earlier.write_text("first")
    config.write_text("not accepted")
    with kept_config(tmp_path):
        assert config.read_text() == earlier.read_text() == "first"
        config.write_text("accepted")
        earlier.unlink()
    assert config.read_text() == "accepted"


OPTIONS = {
    "frontend": "samu",
    "frontend_conf": {
        "model_conf": {"model_type": "wavlm", "hidden_size": 16, "hidden_dropout": 0.1}
    },
    "optim": "adam",
    "optim_conf": {"lr": 0.01, "betas": [0.9, 0.98]},
    "specaug": None,
    "specaug_conf": {},
    "pooling_conf": {},
    "model_conf": {"lsm_weight": 0.1},
    "num_workers": 4,
    "max_epoch": 10,
    "seed": 1,
    "valid_batch_bins": 100,
    "train_shape_file": ["exp/stats/shape"],
}


@pytest.mark.parametrize(
    "others",
    [
        {"num_workers": 0, "ngpu": 2, "max_epoch": 20, "valid_batch_bins": 5},
        {"max_wav_duration": 30.0},  # frontend_conf has what it decides
        {"log_interval": 10, "dist_master_port": 3, "config": "b.yaml", "version": "9"},
        {"optim_conf": {"betas": (0.9, 0.98), "lr": 1.0e-2}},
        {"specaug_conf": None, "model_conf": {"lsm_weight": 0.1, "report_cer": None}},
        # of an earlier version: what transformers does not know, and its own defaults
        {
            "frontend_conf": {
                "model_conf": {
                    **OPTIONS["frontend_conf"]["model_conf"],
                    "tokenizer_class": "X",
                    "num_hidden_layers": 12,
                }
            }
        },
        # options that the earlier version did not have, at their defaults
        {"samu_weight": 0.0},
        {"pooling_conf": {"heads": 2}},
        {"init_param": []},
    ],
)
def test_no_difference(others):
    defaults = {"samu_weight": 0.0, "init_param": [], "pooling_conf": {"heads": 2}}
    assert compare_options(OPTIONS, {**OPTIONS, **others}, defaults) == {}


def test_differences(tmp_path):
    model_conf = {"model_type": "wavlm", "hidden_size": 16}
    present = {
        **OPTIONS,
        "frontend_conf": {"model_conf": {**model_conf, "hidden_dropout": 0.2}},
        "optim_conf": {"lr": 0.001, "betas": [0.9, 0.98]},
        "specaug": "specaug",
        "pooling_conf": {"heads": 3},
        "samu_weight": 1.0,
        "seed": 2,
    }
    assert compare_options(OPTIONS, present, {"samu_weight": 0.0}) == {
        "frontend_conf.model_conf.hidden_dropout": (0.1, 0.2),
        "optim_conf.lr": (0.01, 0.001),
        "specaug": (None, "specaug"),
        "pooling_conf.heads": (None, 3),
        "samu_weight": (0.0, 1.0),
        "seed": (1, 2),
    }


def test_files(tmp_path):
    """A moved file is the same one, another content is not."""
    one, two, other = (tmp_path / x / "model.pth" for x in ("one", "two", "other"))
    for path, content in ((one, "a"), (two, "a"), (other, "b")):
        path.parent.mkdir()
        path.write_text(content)

    def changed(path):
        specs = [{"init_param": [f"{x}:frontend:frontend"]} for x in (one, path)]
        return list(compare_options(*specs))

    assert changed(two) == [] and changed(other) == ["init_param"]
    one.unlink()
    assert changed(two) == []


@pytest.mark.parametrize(
    "name, values, scheduler, fixed",
    [
        ("trainable", (None, "lna_e"), None, True),
        ("token_list", (["a"], ["b"]), None, True),
        ("optim", ("adam", "sgd"), None, True),
        ("optim_conf.lr", (0.1, 0.2), "tristagelr", False),
        ("optim_conf.lr", (0.1, 0.2), "reducelronplateau", True),
        ("optim_conf.amsgrad", (None, True), None, True),
        ("scheduler_conf.warmup_steps", (1, 2), "warmuplr", False),
        ("scheduler_conf.patience", (1, 2), "ReduceLROnPlateau", True),
        ("decoder_conf.model_conf.decoder_attention_heads", (2, 4), None, True),
        ("frontend_conf.model_conf.mask_time_prob", (0.1, 0.2), None, False),
        ("frontend_conf.dtype", ("float32", "bfloat16"), None, False),
        ("pooling_conf.heads", (1, 2), None, True),
        ("specaug_conf.num_freq_mask", (1, 2), None, False),
        ("model_conf.lsm_weight", (0.1, 0.2), None, False),
        ("model_conf.tgt_sym_sos", ("a", "b"), None, True),
        ("losses.cosine.weight", (1.0, 2.0), None, False),
        ("batch_bins", (1, 2), None, False),
    ],
)
def test_what_a_resume_can_change(name, values, scheduler, fixed):
    assert is_fixed(name, values, scheduler) == fixed
