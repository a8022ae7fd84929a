import copy
import logging
import shutil

import numpy as np
import pytest
import torch


@pytest.fixture
def speech2embedding(samu_exp):
    from espnet_samu.speech2embedding import Speech2Embedding

    return Speech2Embedding(samu_model_file=samu_exp / "1epoch.pth")


def test_alone_in_a_batch_and_by_the_model(speech2embedding, batch):
    speech, lengths = batch
    waveforms = [row[:n] for row, n in zip(speech, lengths)]
    with torch.no_grad():
        expected = speech2embedding.samu_model.embed(speech, lengths).embedding
    together = speech2embedding.batch([waveforms[0].numpy(), *waveforms[1:]])
    assert together.shape == (4, 4) and together.dtype == torch.float32
    torch.testing.assert_close(together, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(4), rtol=0, atol=1e-6)
    for waveform, vector in zip(waveforms, together):
        alone = speech2embedding(waveform.double().numpy())
        assert alone.shape == (4,)
        torch.testing.assert_close(alone, vector, rtol=0, atol=1e-5)
    # In the layout of soundfile.read: (N,) in double precision.
    assert not together.requires_grad


def test_double_precision(samu_exp, speech2embedding, batch):
    from espnet_samu.speech2embedding import Speech2Embedding

    double = Speech2Embedding(samu_model_file=samu_exp / "1epoch.pth", dtype="float64")
    waveform = batch[0][0, :3000]
    found = double(waveform)
    assert found.dtype == torch.float64
    expected = speech2embedding(waveform).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="dtype 'int8' is not one of float16"):
        Speech2Embedding(samu_model_file=samu_exp / "1epoch.pth", dtype="int8")


def test_half_precision(samu_exp, batch):
    """The model is bfloat16, the waveforms that its features are made of are not."""
    from espnet_samu.speech2embedding import Speech2Embedding

    half = Speech2Embedding(samu_model_file=samu_exp / "1epoch.pth", dtype="bfloat16")
    seen = []
    half.samu_model.frontend.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].dtype)
    )
    assert half(batch[0][0, :3000]).dtype == torch.bfloat16
    assert seen == [torch.float32]


def test_refused(speech2embedding):
    good = np.zeros(3000) + 0.1
    with pytest.raises(ValueError, match=r"speeches\[1\]: .*\(3000, 2\).*one channel"):
        speech2embedding.batch([good, np.zeros((3000, 2))])
    with pytest.raises(ValueError, match="speech: .*int16; divide"):
        speech2embedding(good.astype(np.int16))
    with pytest.raises(ValueError, match="speech: the waveform has no samples"):
        speech2embedding(torch.zeros(0))
    good[7] = np.nan
    with pytest.raises(ValueError, match="speech: 1 of 3000 samples are NaN"):
        speech2embedding(good)
    with pytest.raises(ValueError, match="^speech: 50 samples are too short for a fra"):
        speech2embedding(torch.zeros(50))
    with pytest.raises(ValueError, match=r"^speeches\[0\]: 50 samples are too short"):
        speech2embedding.batch([torch.zeros(50), torch.zeros(500)])
    with pytest.raises(ValueError, match="speech: 'a.wav' is a path"):
        speech2embedding("a.wav")
    with pytest.raises(ValueError, match="speech: the waveform has 8000 Hz"):
        speech2embedding(torch.zeros(500), 8000)
    with pytest.raises(ValueError, match="speech: .* samples of up to 1e.25"):
        speech2embedding(torch.full((3000,), 1e25))
    with pytest.raises(ValueError, match="speeches is empty"):
        speech2embedding.batch([])


def test_embeddings_that_are_not_finite(samu_exp, batch):
    from espnet_samu.speech2embedding import Speech2Embedding

    speech2embedding = Speech2Embedding(samu_model_file=samu_exp / "1epoch.pth")
    torch.nn.init.constant_(speech2embedding.samu_model.projector.linear.bias, np.nan)
    message = "speech: the embedding is not finite in torch.float32; use another dtype"
    with pytest.raises(ValueError, match=message):
        speech2embedding(batch[0][0, :3000])


def test_threads(speech2embedding, batch, threaded_frontend, in_threads):
    """Eight threads get what each utterance gets alone, in every family."""
    speech2embedding.samu_model.frontend = threaded_frontend
    waveforms = [batch[0][0, : 1500 + 300 * i] for i in range(8)]
    expected = [copy.deepcopy(speech2embedding)(wave) for wave in waveforms] * 3
    for ours, theirs in zip(in_threads(speech2embedding, waveforms * 3), expected):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_the_process_stays_as_it_was(samu_exp, batch, speech2embedding, monkeypatch):
    """No handler of the root logger, no random number, no other weights."""
    from espnet_samu.speech2embedding import Speech2Embedding

    root, state = logging.getLogger(), torch.get_rng_state()
    monkeypatch.setattr(root, "handlers", [])
    torch.set_default_dtype(torch.bfloat16)
    try:
        ours = Speech2Embedding(samu_model_file=samu_exp / "1epoch.pth")
        assert torch.get_default_dtype() == torch.bfloat16
        found = ours(batch[0][0, :3000])
    finally:
        torch.set_default_dtype(torch.float32)
    assert root.handlers == [] and torch.equal(torch.get_rng_state(), state)
    assert found.equal(speech2embedding(batch[0][0, :3000]))


def test_translation_models_are_refused(st_exp, tmp_path, monkeypatch):
    from espnet_samu.bin import pack
    from espnet_samu.speech2embedding import Speech2Embedding

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(ValueError, match="is of a translation model; use Speech2Text"):
        Speech2Embedding(samu_model_file=st_exp / "1epoch.pth")
    cmd = ["st", f"--st_train_config={st_exp}/config.yaml"]
    cmd += [f"--st_model_file={st_exp}/1epoch.pth", f"--outpath={tmp_path}/packed.zip"]
    pack.main(cmd)
    with pytest.raises(
        ValueError, match="A translation model is opened by Speech2Text"
    ):
        Speech2Embedding.from_pretrained(tmp_path / "packed.zip")


def test_published(samu_exp, speech2embedding, batch, tmp_path, monkeypatch):
    """The exported folder, its content zipped, and as a repository on the hub."""
    from espnet_samu.checkpoint.export import export
    from espnet_samu.speech2embedding import Speech2Embedding
    from espnet_samu.utils import hub

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    waveform = batch[0][0, :3000]
    expected = speech2embedding(waveform)
    export(None, samu_exp / "1epoch.pth", tmp_path / "out")
    archive = shutil.make_archive(str(tmp_path / "samu"), "zip", tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    shutil.rmtree(tmp_path / "out")
    monkeypatch.setattr(
        "espnet_model_zoo.downloader.snapshot_download",
        lambda *args, **kwargs: str(tmp_path / "copy"),
    )
    with pytest.raises(
        ConnectionError, match="^somebody/samu: no such folder, HF_HUB_"
    ):
        Speech2Embedding.from_pretrained("somebody/samu")
    monkeypatch.setattr(hub, "locate", lambda tag, cache_dir: tag)
    for source in (tmp_path / "copy", archive, "somebody/samu"):
        found = Speech2Embedding.from_pretrained(source)(waveform)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)

    with pytest.raises(FileNotFoundError, match="has no meta.yaml"):
        Speech2Embedding.from_pretrained(samu_exp)
    with pytest.raises(ValueError, match="samu_model_file is not given"):
        Speech2Embedding.from_pretrained()


def test_a_partial_checkpoint_names_its_keys(samu_exp, tmp_path):
    from espnet_samu.speech2embedding import Speech2Embedding

    state = torch.load(samu_exp / "1epoch.pth", weights_only=True)
    state.pop("projector.linear.bias")
    torch.save(state, tmp_path / "partial.pth")
    with pytest.raises(ValueError, match=r"1 missing .*projector.linear.b"):
        Speech2Embedding(samu_exp / "config.yaml", tmp_path / "partial.pth")


@pytest.mark.parametrize(
    "content, message",
    [
        ("null\n", "is not a configuration .* but empty"),
        ("- a\n", "is not a configuration .* but a list"),
        ("files: {\n", "is not a YAML file: .* line 2, column 1"),
        ("\udcff", "is not a YAML file: .* invalid start byte"),
        ("files: {st_model_file: a}\n", "names st_model_file; a student has"),
        ("espnet: 1\n", "names no files; a student has"),
    ],
)
def test_a_foreign_meta_yaml(tmp_path, content, message):
    from espnet_samu.speech2embedding import Speech2Embedding

    (tmp_path / "meta.yaml").write_text(content, "utf-8", "surrogateescape")
    with pytest.raises(ValueError, match=f"{tmp_path}/meta.yaml {message}") as end:
        Speech2Embedding.from_pretrained(tmp_path)
    assert str(end.value).count("\n") == 0
