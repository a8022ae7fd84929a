import logging
import shutil

import numpy as np
import pytest
import torch

from espnet_samu.bin import student_import
from espnet_samu.checkpoint.speechbrain import read_student
from espnet_samu.speech2embedding import Speech2Embedding

from .speechbrain_student import FOLDER, waveforms

ENCODER = str(FOLDER / "encoder")
CHECKPOINT = FOLDER / "save/CKPT+checkpoint_epoch1"


@pytest.fixture(scope="module")
def theirs():
    """What SpeechBrain computed: frames and embeddings."""
    with np.load(FOLDER / "expected.npz") as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.fixture
def imported(tmp_path):
    """The student of SpeechBrain's checkpoint, imported."""
    options = ["--from", str(FOLDER / "save"), "--output_dir", str(tmp_path / "exp")]
    student_import.main([*options, "--encoder_config", ENCODER])
    return Speech2Embedding(samu_model_file=tmp_path / "exp/imported.pth")


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_embeddings(imported, theirs):
    """Equal to SpeechBrain's, alone and in a batch, where nothing of it is padding."""
    waves = waveforms()
    alone = torch.stack([imported(wave) for wave in waves])
    # The second one has 29 frames of 10 ms: see below.
    for n in (0, 2):
        close(alone[n : n + 1], theirs[f"alone_{n}_embedding"])
    close(imported.batch(waves), alone)
    close(imported.batch(waves)[:1], theirs["batch_embedding"][:1])


@torch.no_grad()
def test_padding(imported, theirs):
    """Of the same frames SpeechBrain pools those of the padding, too."""
    model, waves = imported.samu_model, waveforms()
    padded = torch.nn.utils.rnn.pad_sequence([*map(torch.tensor, waves)], True)
    lengths = torch.tensor([len(wave) for wave in waves])
    frames, n_frames = model.encode(padded, lengths)
    assert n_frames.tolist() == [20, 14, 10]
    for row, n in enumerate(n_frames):
        close(frames[row, :n], theirs["batch_frames"][row, :n])

    def pooled(frames, n_frames):
        return model.projector(model.pooling(frames, torch.tensor(n_frames)))

    close(pooled(theirs["batch_frames"], [20, 20, 20]), theirs["batch_embedding"])
    # Alone, of 29 frames of 10 ms the last one makes a 15th frame with padding.
    close(pooled(theirs["alone_1_frames"], [15]), theirs["alone_1_embedding"])
    alone = imported(waves[1])[None]
    close(pooled(theirs["alone_1_frames"], [14]), alone)
    # Which is no matter of rounding.
    for other in (theirs["alone_1_embedding"], theirs["batch_embedding"][1:2]):
        assert (other - alone).abs().max() > 0.01


def test_folder(tmp_path, imported, caplog):
    """Needs neither the source nor its configuration."""
    config = (tmp_path / "exp/config.yaml").read_text()
    first, _, rest = config.partition("\n")
    assert first == f"# Imported from {FOLDER / 'save'}"
    assert str(FOLDER) not in rest
    assert "\nprojector: identity\n" in rest and "\npooling: attention\n" in rest
    weights = imported.samu_model.state_dict()
    with caplog.at_level(logging.INFO):
        # Again, over what it has made; the name of the folder itself is allowed.
        options = ["--from", str(CHECKPOINT), "--encoder_config", ENCODER]
        student_import.main([*options, "--output_dir", str(tmp_path / "exp")])
    assert "--teacher BAAI/bge-m3" in caplog.text
    again = torch.load(tmp_path / "exp/imported.pth", weights_only=True)
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_same_pooling_twice(tmp_path, speech_models):
    """As the recipe IWSLT22_lowresource saves it; its encoder is wav2vec 2.0."""
    import transformers

    conf = speech_models["wav2vec2-group"]
    config = transformers.Wav2Vec2Config(**{**conf, "vocab_size": 5})
    model = transformers.Wav2Vec2Model(config)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    for part in (config, extractor):
        part.save_pretrained(tmp_path / "encoder")
    folder = tmp_path / "CKPT+checkpoint_epoch100"
    folder.mkdir()
    weights = {f"model.{k}": v for k, v in model.state_dict().items()}
    torch.save(weights, folder / "wav2vec2.ckpt")
    pooling = {"weight": torch.ones(1, 16), "bias": torch.tensor([3.0])}
    head = {f"{n}.attn_pooling_w.{k}": v for n in (0, 1) for k, v in pooling.items()}
    torch.save(head, folder / "model.ckpt")
    student = read_student(str(folder), encoder_config=str(tmp_path / "encoder"))
    assert student.teacher == "sentence-transformers/LaBSE"
    assert student.options["frontend_conf"]["normalize_waveform"] is True
    assert student.options["frontend_conf"]["model_conf"]["model_type"] == "wav2vec2"
    assert torch.equal(student.state["pooling.query.weight"], torch.ones(1, 16))
    head["1.attn_pooling_w.weight"] = torch.zeros(1, 16)
    torch.save(head, folder / "model.ckpt")
    with pytest.raises(ValueError, match="model.ckpt has 2 .* that differ"):
        read_student(str(folder), encoder_config=str(tmp_path / "encoder"))


@torch.no_grad()
def test_two_attributes(tmp_path, caplog):
    """The semantic branch of SENSE-2ATTR, whose mix SpeechBrain does not have."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertModel

    generator = torch.Generator().manual_seed(0)
    sizes = {"logits": (2,), "W": (2, 16, 16), "b": (2, 16)}
    sizes |= {"ln.weight": (16,), "ln.bias": (16,)}
    sizes = {f"{n}.{k}": v for n in (0, 1) for k, v in sizes.items()}
    pooling = {"attn_pooling_w.weight": (1, 16), "attn_pooling_w.bias": (1,)}
    sizes |= {f"{n}.{k}": v for n in (2, 3) for k, v in pooling.items()}
    sizes |= {"4.weight": (5, 16), "4.bias": (5,)}
    head = {k: torch.randn(v, generator=generator) * 0.5 for k, v in sizes.items()}
    folder = tmp_path / "sense-2attr"
    shutil.copytree(CHECKPOINT, folder)
    torch.save(head, folder / "model.ckpt")
    options = ["--from", str(folder), "--output_dir", str(tmp_path / "exp")]
    student_import.main([*options, "--encoder_config", ENCODER])
    assert "left out: the speaker branch of SENSE-2ATTR" in caplog.text

    wave = waveforms()[0]
    extractor = SeamlessM4TFeatureExtractor()
    features = extractor(wave, sampling_rate=16000, return_tensors="pt")
    weights = torch.load(folder / "wav2vec2.ckpt", weights_only=True)
    weights = {name.removeprefix("model."): value for name, value in weights.items()}
    model = Wav2Vec2BertModel.from_pretrained(None, config=ENCODER, state_dict=weights)
    states = model.eval()(**features, output_hidden_states=True).hidden_states[1:]
    mixed = sum(
        share * (state @ matrix.T + bias)
        for share, state, matrix, bias in zip(
            head["0.logits"].softmax(0), states, head["0.W"], head["0.b"]
        )
    )
    norm = (head["0.ln.weight"], head["0.ln.bias"])
    mixed = torch.nn.functional.layer_norm(mixed, (16,), *norm)[0]
    pooled = (mixed @ head["2.attn_pooling_w.weight"].T).softmax(0).T @ mixed
    student = Speech2Embedding(samu_model_file=tmp_path / "exp/imported.pth")
    close(student(wave)[None], torch.nn.functional.normalize(pooled))
    close(student.batch(waveforms())[:1], student(wave)[None])


def test_bad_input(tmp_path, caplog):
    """One line each, before anything is written."""
    copy = tmp_path / "copy"
    shutil.copytree(CHECKPOINT, copy)

    def error(source=copy, encoder=ENCODER):
        options = ["--from", str(source), "--output_dir", str(tmp_path / "exp")]
        with pytest.raises((OSError, ValueError)) as info:
            student_import.main([*options, "--encoder_config", str(encoder)])
        assert not (tmp_path / "exp").exists()
        assert "\n" not in str(info.value)
        return str(info.value)

    def changed(name, change):
        state = torch.load(copy / name, weights_only=True)
        change(state)
        torch.save(state, copy / name)
        message = error()
        shutil.copy(CHECKPOINT / name, copy / name)
        return message

    message = changed("wav2vec2.ckpt", lambda s: s.popitem())
    assert "the weights are not those of" in message and "1 missing" in message
    message = changed("wav2vec2.ckpt", lambda s: s.update(quantizer=torch.ones(1)))
    assert "tensors are named model.*; it has quantizer" in message
    message = changed("model.ckpt", lambda s: s.update({"1.w.weight": torch.ones(1)}))
    assert "is not of one attention pooling" in message and "1.w.weight" in message
    message = changed("model.ckpt", lambda s: s.clear() or s.update(x=torch.ones(1)))
    assert message.endswith("it has x")

    # The published sizes, for a checkpoint of others.
    config = tmp_path / "config"
    shutil.copytree(FOLDER / "encoder", config)
    text = (config / "config.json").read_text()
    (config / "config.json").write_text(text.replace('_size": 16', '_size": 32'))
    message = error(encoder=config)
    assert "of another shape" in message and "by --encoder_config" in message
    assert "--encoder_config takes a folder" in error(encoder=tmp_path / "none")

    (copy / "model.ckpt").unlink()
    assert "it has no model.ckpt, but CKPT.yaml, counter.ckpt, wav2vec2" in error()
    assert "has no wav2vec2.ckpt and no model.ckpt, but config.json" in error(ENCODER)
    for name in ("a", "b"):
        shutil.copytree(CHECKPOINT, tmp_path / "several" / name)
    assert "has several checkpoints" in error(tmp_path / "several")


def test_archives_and_parts(tmp_path):
    (tmp_path / "SENSE.7z").write_bytes(b"7z\xbc\xaf\x27\x1c\0\4")
    options = ["--output_dir", str(tmp_path / "exp"), "--from"]
    for source in (tmp_path, tmp_path / "SENSE.7z"):
        with pytest.raises(ValueError, match=r"SENSE.7z is a packed .*7z x.*py7zr"):
            student_import.main([*options, str(source)])
    with pytest.raises(ValueError, match="wav2vec2.ckpt is one file of .* name the"):
        student_import.main([*options, str(CHECKPOINT / "wav2vec2.ckpt")])


def test_no_network(tmp_path, monkeypatch):
    """Of the hub's cache; the encoder's configuration is missing there."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match="HF_HUB_OFFLINE.*hf download a/sense"):
        read_student("a/sense")
    with pytest.raises(ConnectionError, match="w2v-bert-2.0.*--encoder_config"):
        read_student(str(CHECKPOINT))
