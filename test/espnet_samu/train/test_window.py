"""Tests of espnet_samu.train.window."""

import argparse

import pytest
import torch
import yaml

from espnet_samu.train.window import set_window_seconds, window_of


@pytest.fixture
def options(speech_models, tmp_path):
    """Makes options of a training; the model's own window is 1 s."""

    def make(family="whisper", frontend_conf=None, **others):
        conf = {"model_conf": speech_models[family], **(frontend_conf or {})}
        defaults = {
            "max_wav_duration": 0.5,
            "frontend": "samu",
            "frontend_conf": conf,
            "output_dir": str(tmp_path / "exp"),
            "resume": True,
        }
        return argparse.Namespace(**{**defaults, **others})

    return make


def default_of(args):
    before = dict(args.frontend_conf)
    set_window_seconds(args)
    after = dict(args.frontend_conf)
    seconds = after.pop("window_seconds", None)
    before.pop("window_seconds", None)
    assert after == before
    return seconds


def write_experiment(folder, frontend_conf):
    folder.mkdir()
    conf = {"frontend_conf": frontend_conf}
    (folder / "config.yaml").write_text(yaml.safe_dump(conf))
    torch.save({}, folder / "checkpoint.pth")


def test_longest_utterance_of_the_data(options):
    assert default_of(options()) == 0.5
    assert default_of(options(max_wav_duration=20.0)) == 1.0
    assert default_of(options(max_wav_duration=None)) is None
    # what the user says, and other frontends
    assert default_of(options(frontend_conf={"window_seconds": 0.7})) == 0.7
    assert default_of(options("wavlm")) is None
    assert default_of(options(frontend="s3prl")) is None


def test_slowed_utterances_fit_in(options):
    effects = [
        [0.5, "speed_perturb", {"factor": 1.25}],
        [1.0, [[1.0, "time_stretch", {"factor": 0.8}], [1.0, "reverse", {}]]],
        [0.5, "contrast", {"enhancement_amount": 0.1}],
    ]
    conf = {"data_aug_effects": effects, "data_aug_num": [1, 2]}
    assert default_of(options(preprocessor_conf=conf)) == 0.625


@pytest.mark.parametrize("earlier", [0.4, None])
def test_a_training_that_goes_on_keeps_its_window(options, tmp_path, earlier):
    # Without window_seconds: of a version before there was one.
    conf = {} if earlier is None else {"window_seconds": earlier}
    write_experiment(tmp_path / "exp", conf)
    assert default_of(options()) == earlier
    assert default_of(options(resume=False)) == 0.5
    (tmp_path / "exp/checkpoint.pth").unlink()
    assert default_of(options()) == 0.5


def test_a_model_has_the_window_of_its_student(options, tmp_path):
    write_experiment(tmp_path / "student", {"window_seconds": 0.3})
    model = str(tmp_path / "student/valid.r1.best.pth")
    assert default_of(options(samu_model=model, init_from_samu=True)) == 0.3
    assert default_of(options(samu_model=model, samu_weight=0.5)) == 0.3
    others = {"samu_model": model, "max_wav_duration": None}
    assert default_of(options(init_from_samu=True, **others)) == 0.3
    assert default_of(options(samu_model=model, init_from_samu=False)) == 0.5


def test_window_of(options):
    assert window_of(options()) == 16000
    assert window_of(options("wav2vec2-bert")) is None
    assert window_of(options(frontend="default", frontend_conf={})) is None
    assert window_of(argparse.Namespace()) is None


def test_logging_is_left_to_espnet(samu_cmd, tmp_path, monkeypatch):
    """What the window logs before must not keep train.log from its lines."""
    import logging

    from espnet_samu.tasks import abs_samu_task
    from espnet_samu.tasks.samu import SAMUTask

    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(
        abs_samu_task, "set_window_seconds", lambda args: logging.info("x")
    )
    found = []
    monkeypatch.setattr(
        SAMUTask, "main_worker", lambda args: found.extend(logging.root.handlers)
    )
    SAMUTask.main(cmd=samu_cmd(tmp_path))
    assert found == []
