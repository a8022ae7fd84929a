import shutil

import pytest
import torch
import yaml

from espnet_samu.frontend.samu import SamuFrontend

EMBEDDING_SIZE = 4


@pytest.fixture
def student(samu_cmd, tmp_path):
    """Makes a student's folder of a frontend_conf, without training it."""
    from espnet_samu.tasks.samu import SAMUTask

    def make(**frontend_conf):
        folder = tmp_path / "exp"
        SAMUTask.main(
            cmd=samu_cmd(folder, "--dry_run", "true", frontend_conf=frontend_conf)
        )
        torch.manual_seed(0)
        model, _ = SAMUTask.build_model_from_file(folder / "config.yaml")
        torch.save(model.state_dict(), folder / "model.pth")
        return folder / "model.pth", model.eval()

    return make


@pytest.fixture
def speech(noise):
    speech, lengths = noise(8000)
    return speech, lengths


def random_norms(model):
    """Group and layer norms that are not the identity."""
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, 0.5, 0.3)


@torch.no_grad()
def other_frames(folder, speech):
    """Frames as somebody computes them who has transformers only."""
    from transformers import AutoFeatureExtractor, AutoModel

    extractor = AutoFeatureExtractor.from_pretrained(folder)
    features = extractor(speech.numpy(), sampling_rate=16000, return_tensors="pt")
    model = AutoModel.from_pretrained(folder).eval()
    return model(**features).last_hidden_state


@pytest.mark.parametrize(
    "family, options",
    [
        ("wav2vec2-layer", {"normalize_waveform": True}),
        ("wav2vec2-group", {"normalize_waveform": False, "dtype": "bfloat16"}),
        ("hubert", {"normalize_waveform": True}),
        ("wavlm", {}),
        ("wav2vec2-bert", {}),
    ],
)
def test_round_trip(student, speech_models, speech, tmp_path, family, options):
    from espnet_samu.checkpoint.export import export
    from espnet_samu.speech2embedding import Speech2Embedding

    model_file, model = student(model_conf=speech_models[family], **options)
    random_norms(model)
    torch.save(model.state_dict(), model_file)
    export(None, model_file, tmp_path / "out")

    # The whole student, without its experiment.
    waveform, lengths = speech
    model.frontend.dtype = torch.float32  # autocast is for training
    with torch.no_grad():
        expected = model.embed(waveform, lengths)
    model_file.rename(tmp_path / "moved.pth")
    speech2embedding = Speech2Embedding.from_pretrained(tmp_path / "out")
    found = speech2embedding(waveform[0])
    assert found.shape == (EMBEDDING_SIZE,)
    torch.testing.assert_close(found, expected.embedding[0], rtol=0, atol=1e-6)
    ours, theirs = model.state_dict(), speech2embedding.samu_model.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours | theirs)

    # Its frames, by transformers alone.
    with torch.no_grad():
        frames, _ = model.frontend(waveform, lengths)
    others = other_frames(tmp_path / "out", waveform[0])
    assert others.shape == frames.shape and frames.std() > 0.1
    torch.testing.assert_close(others, frames, rtol=0, atol=1e-4)

    # Its frontend, as a folder in frontend_conf.
    frontend = SamuFrontend(model=str(tmp_path / "out")).eval()
    with torch.no_grad():
        again, _ = frontend(waveform, lengths)
    torch.testing.assert_close(again, frames, rtol=0, atol=1e-6)
    state = model.frontend.state_dict()
    assert frontend.state_dict().keys() == state.keys()
    assert all(torch.equal(v, state[k]) for k, v in frontend.state_dict().items())


def test_experiments_are_kept(samu_exp, tmp_path):
    from espnet_samu.checkpoint.export import export

    shutil.copytree(samu_exp, tmp_path / "exp" / "samu")
    before = sorted((tmp_path / "exp").rglob("*"))
    model_file = tmp_path / "exp" / "samu" / "1epoch.pth"
    for folder in ("exp", "exp/samu"):
        with pytest.raises(ValueError, match=f"{folder} would be .* holds an input"):
            export(None, model_file, tmp_path / folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "teacher.json").touch()
    with pytest.raises(ValueError, match="other is not empty and was not made by samu"):
        export(None, model_file, tmp_path / "other")
    assert sorted((tmp_path / "exp").rglob("*")) == before


def test_no_paths_of_the_machine(samu_exp, tmp_path):
    """Of a student that began as a local folder, in an experiment elsewhere."""
    from espnet_samu.checkpoint.export import export

    config = yaml.safe_load((samu_exp / "config.yaml").read_text())
    folder = tmp_path / "xls-r"
    folder.mkdir()
    config["frontend_conf"]["model"] = str(folder)
    config["preprocessor_conf"] = {"noise_scp": str(folder), "speech_name": "speech"}
    config["valid_utt2lang"] = str(folder)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    out = tmp_path / "out"
    export(tmp_path / "config.yaml", samu_exp / "1epoch.pth", out)

    assert sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()) == [
        ".made_by",
        "README.md",
        "config.json",
        "config_sentence_transformers.json",
        "meta.yaml",
        "model.safetensors",
        "modules.json",
        "preprocessor_config.json",
        "student/config.yaml",
        "student/model.pth",
    ]
    names = ("README.md", "config.json", "preprocessor_config.json")
    for name in (*names, "student/config.yaml"):
        text = (out / name).read_text()
        assert str(tmp_path) not in text and str(samu_exp) not in text
    published = yaml.safe_load((out / "student/config.yaml").read_text())
    assert published["preprocessor_conf"] == {"speech_name": "speech"}
    assert published["frontend_conf"]["pretrained"] is False


@pytest.mark.parametrize(
    "options", [{"layer": 1}, {"layer_mix": True}, {"average_frames": 4}]
)
def test_frames_that_transformers_lacks(
    student, speech_models, speech, tmp_path, options
):
    from espnet_samu.checkpoint.export import export
    from espnet_samu.speech2embedding import Speech2Embedding

    conf = speech_models["wav2vec2-layer"]
    model_file, model = student(model_conf=conf, **options)
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"frames.*--frame_encoder false") as info:
        export(None, model_file, out)
    assert str(options) in str(info.value)
    assert not out.exists()

    export(None, model_file, out, frame_encoder=False)
    assert not (out / "config.json").exists()
    assert "AutoModel" not in (out / "README.md").read_text()
    found = Speech2Embedding.from_pretrained(out)(speech[0][0])
    with torch.no_grad():
        expected = model.embed(*speech).embedding[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_seamless(student, speech_models, speech, tmp_path):
    """AutoModel has no class for its speech encoder alone."""
    from espnet_samu.checkpoint.export import export
    from espnet_samu.speech2embedding import Speech2Embedding

    model_file, model = student(model_conf=speech_models["seamless_m4t_v2"])
    with pytest.raises(ValueError, match="seamless_m4t_v2 alone.*--frame_enc"):
        export(None, model_file, tmp_path / "out")
    export(None, model_file, tmp_path / "out", frame_encoder=False)
    speech2embedding = Speech2Embedding.from_pretrained(str(tmp_path / "out"))
    with torch.no_grad():
        expected = model.embed(*speech).embedding[0]
    torch.testing.assert_close(speech2embedding(speech[0][0]), expected)


@pytest.mark.parametrize(
    "window, published",  # 1 s, 1.66 s, 0.6 s; the last one cut to 1 s
    [(50, 50), (83, 83), (30, 30), (50, 60)],
)
def test_whisper(student, speech_models, noise, tmp_path, caplog, window, published):
    """Loaded as --help says, whatever its window; then as a frontend, and again."""
    from transformers import AutoFeatureExtractor, AutoModel

    from espnet_samu.checkpoint.export import export, save_frame_encoder

    conf = {**speech_models["whisper"], "max_source_positions": published}
    model_file, model = student(model_conf=conf, window_seconds=window / 50)
    caplog.set_level("INFO")
    export(None, model_file, tmp_path / "out")
    samples = window * 320
    warned = f"call the feature extractor with max_length={samples} " in caplog.text
    assert warned is (samples % 16000 != 0)

    speech, lengths = noise(samples - 1000)
    with torch.no_grad():
        frames, _ = model.frontend(speech, lengths)
    frontend = SamuFrontend(model=str(tmp_path / "out"))
    save_frame_encoder(frontend, (tmp_path / "again"))
    for folder in ("out", "again"):
        extractor = AutoFeatureExtractor.from_pretrained(tmp_path / folder)
        features = extractor(
            speech[0].numpy(),
            sampling_rate=16000,
            max_length=samples,
            return_tensors="pt",
        )
        others, info = AutoModel.from_pretrained(
            tmp_path / folder, output_loading_info=True
        )
        assert not info["missing_keys"] and not info["unexpected_keys"]
        with torch.no_grad():
            found = others.get_encoder().eval()(**features).last_hidden_state
        found = found[:, : frames.size(1)]
        torch.testing.assert_close(found, frames, rtol=0, atol=1e-4)
    state = model.frontend.state_dict()
    assert frontend.state_dict().keys() == state.keys()
    assert all(torch.equal(v, state[k]) for k, v in frontend.state_dict().items())


def test_a_folder_that_is_not_loaded_whole(
    student, speech_models, tmp_path, monkeypatch
):
    """What AutoModel fills with random numbers is no export."""
    from espnet_samu.checkpoint import export

    monkeypatch.setattr(export, "_with_empty_decoder", lambda encoder: encoder)
    model_file, _ = student(model_conf=speech_models["whisper"])
    with pytest.raises(
        ValueError, match=r"AutoModel does not load .*: it misses \['dec"
    ):
        export.export(None, model_file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_frontends_are_refused(samu_cmd, tmp_path):
    from espnet_samu.checkpoint.export import export
    from espnet_samu.tasks.samu import SAMUTask

    conf = {"frontend": "default", "frontend_conf": {"n_mels": 8}}
    cmd = samu_cmd(tmp_path / "exp", "--dry_run", "true", **conf)
    SAMUTask.main(cmd=cmd)
    model, _ = SAMUTask.build_model_from_file(tmp_path / "exp/config.yaml")
    torch.save(model.state_dict(), tmp_path / "exp/model.pth")
    with pytest.raises(ValueError, match="frontend: default; only frontend: samu"):
        export(None, tmp_path / "exp/model.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["lora", "houlsby"])
def test_adapters(samu_cmd, batch, tmp_path, kind):
    from espnet_samu.checkpoint.export import export
    from espnet_samu.speech2embedding import Speech2Embedding
    from espnet_samu.tasks.samu import SAMUTask

    adapters = {"encoder": {"type": kind, "size": 2}}
    conf = {"adapters": adapters, "save_trained_only": True, "max_epoch": 2}
    SAMUTask.main(cmd=samu_cmd(tmp_path / "exp", **conf))
    model_file, out = tmp_path / "exp" / "2epoch.pth", tmp_path / "out"
    model, _ = SAMUTask.build_model_from_file(None, model_file)
    with torch.no_grad():
        expected = model.eval().embed(*batch).embedding
    if kind == "houlsby":
        with pytest.raises(ValueError, match="adapters that transformers does not"):
            export(None, model_file, out)
    export(None, model_file, out, frame_encoder=kind == "lora")
    found = Speech2Embedding.from_pretrained(out).embed(*batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
