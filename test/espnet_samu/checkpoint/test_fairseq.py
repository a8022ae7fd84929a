import argparse
import json
import logging

import pytest
import torch
from safetensors.torch import load_file

from espnet_samu.bin import student_import
from espnet_samu.checkpoint.fairseq import convert, read_student
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.speech2embedding import Speech2Embedding

# s3prl's classes are fairseq's: what they compute is what is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


@pytest.fixture
def speech():
    return torch.randn(1, 3001, generator=torch.Generator().manual_seed(1)) * 0.1


@torch.no_grad()
def frames_of(folder, speech):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    return model(speech).last_hidden_state


@pytest.mark.parametrize("variant", ["layer", "group", "group-first"])
def test_same_frames_as_fairseqs_wav2vec2(fairseq_wav2vec2, speech, tmp_path, variant):
    model, cfg = fairseq_wav2vec2(variant)
    normalize = variant == "layer"
    checkpoint = {
        "model": model.state_dict(),
        "cfg": {
            "model": {"_name": "wav2vec2", **cfg},
            "task": {"normalize": normalize},
        },
        "args": None,
    }
    torch.save(checkpoint, tmp_path / "xlsr.pt")
    conversion = convert(tmp_path / "xlsr.pt", tmp_path / "out")

    with torch.no_grad():
        expected = model(speech, mask=False, features_only=True)["x"]
    assert expected.shape == (1, 73, 24) and expected.std() > 0.3
    torch.testing.assert_close(
        frames_of(tmp_path / "out", speech), expected, rtol=0, atol=1e-6
    )
    assert conversion.conf["model_type"] == "wav2vec2"
    assert conversion.dropped == {"quantizer": 3, "project_q": 2, "final_proj": 2}
    assert conversion.assumed == []

    # And as the student, which normalises as the checkpoint was trained.
    frontend = SamuFrontend(model=str(tmp_path / "out")).eval()
    with torch.no_grad():
        frames, lengths = frontend(speech, torch.tensor([3001]))
        if normalize:
            speech = torch.nn.functional.layer_norm(speech, speech.shape)
        expected = model(speech, mask=False, features_only=True)["x"]
    assert frontend.portable_conf()["normalize_waveform"] is normalize
    assert lengths.tolist() == [73]
    torch.testing.assert_close(frames, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("variant", ["layer", "group"])
def test_same_frames_as_fairseqs_hubert(fairseq_hubert, speech, tmp_path, variant):
    model, cfg = fairseq_hubert(variant)
    # s3prl's rewriting; nothing says hubert but the label embeddings.
    checkpoint = {
        "model_weight": model.state_dict(),
        "model_cfg": cfg,
        "task_cfg": {"normalize": True, "sample_rate": 16000},
        "dictionaries_symbols": [["a"]],
    }
    torch.save(checkpoint, tmp_path / "hubert.pt")
    conversion = convert(tmp_path / "hubert.pt", tmp_path / "out")

    with torch.no_grad():
        expected, _ = model.extract_features(speech)
    torch.testing.assert_close(
        frames_of(tmp_path / "out", speech), expected, rtol=0, atol=1e-6
    )
    assert conversion.conf["model_type"] == "hubert"
    assert conversion.normalize is True
    assert conversion.dropped == {"final_proj": 2, "label_embs_concat": 1}
    preprocessor = json.loads((tmp_path / "out/preprocessor_config.json").read_text())
    assert preprocessor["do_normalize"] is True


def test_fine_tuned_old_half_precision(fairseq_wav2vec2, speech, tmp_path):
    """As fairseq of 2020 left them: flat namespaces, no zip file."""
    model, cfg = fairseq_wav2vec2("group")
    state = {
        f"w2v_encoder.w2v_model.{k}": v.half() for k, v in model.state_dict().items()
    }
    state = {k: v for k, v in state.items() if "quantizer" not in k}
    state["w2v_encoder.proj.weight"] = torch.zeros(5, 24)
    state["w2v_encoder.proj.bias"] = torch.zeros(5)
    args = argparse.Namespace(
        arch="wav2vec_ctc",
        normalize=True,
        layerdrop=0.1,
        w2v_args=argparse.Namespace(arch="wav2vec2", task="audio_pretraining", **cfg),
    )
    torch.save(
        {"model": state, "args": args},
        tmp_path / "ctc.pt",
        _use_new_zipfile_serialization=False,
    )
    conversion = convert(tmp_path / "ctc.pt", tmp_path / "out")

    assert conversion.dropped == {
        "w2v_encoder.proj": 2,
        "project_q": 2,
        "final_proj": 2,
    }
    assert conversion.conf["num_attention_heads"] == 3
    assert conversion.normalize is True
    with torch.no_grad():
        expected = model.half().float()(speech, mask=False, features_only=True)["x"]
    torch.testing.assert_close(
        frames_of(tmp_path / "out", speech), expected, rtol=0, atol=1e-6
    )


def test_a_partial_checkpoint_names_its_keys(fairseq_wav2vec2, tmp_path):
    model, cfg = fairseq_wav2vec2()
    path = tmp_path / "partial.pt"

    def error(change):
        state = dict(model.state_dict())
        change(state)
        torch.save(
            {"model": state, "cfg": {"model": cfg, "task": {"normalize": True}}}, path
        )
        with pytest.raises(ValueError) as info:
            convert(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert "partial.pt" in str(info.value)
        return str(info.value)

    message = error(lambda s: s.pop("encoder.layers.1.fc2.bias"))
    assert "1 missing ['encoder.layers.1.feed_forward.output_dense.bias']" in message
    message = error(
        lambda s: s.update({"encoder.layers.0.conv_module.x": torch.ones(1)})
    )
    assert "1 unexpected ['encoder.layers.0.conv_module.x']" in message
    message = error(lambda s: s.update({"mask_emb": torch.ones(3)}))
    assert "1 of another shape ['masked_spec_embed [3] for [24]']" in message
    message = error(lambda s: s.pop("encoder.pos_conv.0.weight_v"))
    assert "encoder.pos_conv.0.weight_v is missing" in message
    message = error(lambda s: s.clear() or s.update({"decoder.x": torch.ones(1)}))
    assert "no tensor is named feature_extractor.conv_layers.0.0.weight" in message


def test_no_model(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="neither 'model' .*but state_dict"):
        convert(tmp_path / "other.pt", tmp_path / "out")


HEADS = ("quantizer", "project_q", "final_proj")


@pytest.fixture
def samu_xlsr(fairseq_wav2vec2):
    """Encoder, and a checkpoint of SAMU-XLSR's expected layout; changes by argument.

    The layout is that of the authors' public training code; the published checkpoint
    was not seen. The attention vector's name is made up.
    """
    model, cfg = fairseq_wav2vec2("layer")
    generator = torch.Generator().manual_seed(2)
    head = {
        "proj.weight": torch.randn(6, 24, generator=generator) * 0.3,
        "proj.bias": torch.randn(6, generator=generator) * 0.3,
        "pooling.W.weight": torch.randn(1, 24, generator=generator),
        "pooling.W.bias": torch.tensor([2.0]),
    }

    def make(path, name="wav2vec_st", drop=(), **added):
        state = {f"w2v_model.{k}": v for k, v in model.state_dict().items()}
        # As remove_pretraining_modules leaves it.
        state = {k: v for k, v in state.items() if k.split(".")[1] not in HEADS}
        state |= {k: v for k, v in head.items() if k not in drop}
        state |= added
        args = {"model": {"_name": "wav2vec2", **cfg}, "task": {"normalize": True}}
        content = {
            "model": {f"w2v_encoder.{k}": v for k, v in state.items()},
            "cfg": {
                "model": {"_name": name, "speech_embedding": 6, "w2v_args": args},
                "task": {"_name": "audio_pretraining_labse", "normalize": True},
            },
        }
        torch.save(content, path)
        return path

    return model, head, make


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_samu_xlsr(samu_xlsr, speech, tmp_path, caplog, pooling):
    model, head, make = samu_xlsr
    is_mean = pooling == "mean"
    drop = ("pooling.W.weight", "pooling.W.bias") if is_mean else ()
    source = make(tmp_path / "checkpoint_51_234000.pt", drop=drop)
    with caplog.at_level(logging.WARNING):
        student_import.main(["--from", str(source), "--output_dir", f"{tmp_path}/exp"])
    assert ("mean pooling" in caplog.text) is is_mean
    assert "tanh behind the projection" in caplog.text

    waves = [speech[0], speech[0, :2000] * 2]
    expected = []
    for wave in waves:
        # As it is used: the whole waveform is normalised.
        wave = torch.nn.functional.layer_norm(wave, wave.shape)[None]
        frames = model(wave, mask=False, features_only=True)["x"][0]
        weights = torch.full((len(frames), 1), 1 / len(frames))
        if not is_mean:
            scores = frames @ head["pooling.W.weight"].T + head["pooling.W.bias"]
            weights = scores.softmax(0)
        pooled = (weights * frames).sum(0)
        embedding = (head["proj.weight"] @ pooled + head["proj.bias"]).tanh()
        expected.append(embedding / embedding.norm())
    expected = torch.stack(expected)
    student = Speech2Embedding(samu_model_file=tmp_path / "exp/imported.pth")
    assert student.samu_train_args.pooling == pooling
    # layer_norm's epsilon is 1e-5, transformers' 1e-7.
    torch.testing.assert_close(student.batch(waves), expected, rtol=0, atol=1e-3)
    alone = torch.stack([student(wave) for wave in waves])
    torch.testing.assert_close(student.batch(waves), alone, rtol=0, atol=1e-5)

    # fairseq_convert gives the encoder alone.
    conversion = convert(source, tmp_path / "encoder")
    assert conversion.dropped["w2v_encoder.proj"] == 2
    weights = student.samu_model.frontend.model.state_dict()
    for name, weight in load_file(tmp_path / "encoder/model.safetensors").items():
        assert torch.equal(weights[name], weight), name


def test_no_student(samu_xlsr, tmp_path):
    _, head, make = samu_xlsr
    path = tmp_path / "model.pt"

    def error(**changes):
        make(path, **changes)
        with pytest.raises(ValueError) as info:
            read_student(path)
        assert "model.pt" in str(info.value) and "\n" not in str(info.value)
        return str(info.value)

    message = error(drop=("proj.weight", "proj.bias"))
    assert "one projection (weight [E, 24], bias [E])" in message
    assert "w2v_encoder.pooling.W.weight [1, 24] (an attention vector?)" in message
    assert "fairseq_convert gives the encoder alone" in message
    second = {"proj2.weight": torch.ones(6, 24), "proj2.bias": torch.ones(6)}
    assert "w2v_encoder.proj2.weight [6, 24] (a projection?)" in error(**second)
    message = error(**{"out.weight": torch.ones(5, 6), "out.bias": torch.ones(5)})
    assert "w2v_encoder.out.weight [5, 6] (a linear layer?)" in message
    assert "w2v_encoder.out.bias [5] (a bias?)" in message
    assert "w2v_encoder.scale [] (unknown?)" in error(scale=torch.tensor(1.0))
    # The same layout with letters in the place of an embedding.
    message = error(name="wav2vec_ctc", drop=("pooling.W.weight", "pooling.W.bias"))
    assert "fine-tuned for recognition (wav2vec_ctc), not a student" in message
    adapter = "w2v_model.encoder.layers.0.adapters.down.weight"
    message = error(**{adapter: torch.ones(2, 24)})
    assert "its encoder has adapters (1 tensors, e.g. encoder.layers.0.adap" in message
