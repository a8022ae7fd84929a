"""Each published configuration, small: built, trained, rebuilt, exported, packed."""

import argparse
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from espnet_samu.decoder.pretrained import FAMILIES as DECODERS
from espnet_samu.frontend.samu import FAMILIES as ENCODERS

from ..egs2.tiny_models import PUBLISHED, make_decoder, make_encoder

TEMPLATE = Path(__file__).parents[2] / "egs2" / "TEMPLATE" / "samu_st1" / "conf"
# What must not reach our decoding unasked; the tokens are not even there.
SEARCH = {
    "max_length": 3,
    "min_length": 9,
    "num_beams": 3,
    "num_return_sequences": 3,
    "early_stopping": True,
    "length_penalty": 9.0,
    "no_repeat_ngram_size": 1,
    "repetition_penalty": 9.0,
    "bad_words_ids": [[5]],
    "suppress_tokens": [6, 7],
    "forced_bos_token_id": 9,
    "forced_decoder_ids": [[1, 9]],
}


def names_of(families):
    """Names of the published models of some families."""
    fields = {name: files["config.json"] for name, files in PUBLISHED.items()}
    return [name for name in fields if fields[name]["model_type"] in families]


def defaults(task, **options):
    """Options of a task as config.yaml has them."""
    parser = argparse.ArgumentParser()
    parser.set_defaults(required=[])
    task.add_task_arguments(parser)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **options})


def train_and_save(task, args, folder, **batch):
    """Build a model, update it once, and write what a training leaves."""
    torch.manual_seed(0)
    model = task.build_model(args).train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    loss, _, _ = model(**batch)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(vars(args)))
    torch.save(model.state_dict(), folder / "model.pth")
    return model.eval()


@pytest.fixture(scope="module")
def tasks():
    """Both tasks, imported outside the tests' time."""
    from espnet_samu.tasks.samu import SAMUTask
    from espnet_samu.tasks.st import STTask

    return SAMUTask, STTask


@pytest.fixture(scope="module")
def speech(noise):
    """Two waveforms of noise, 1 and 0.75 s."""
    waveforms, lengths = noise(16000, 12000)
    return {"speech": waveforms, "speech_lengths": lengths}


@pytest.mark.timeout(20)  # Whisper's window is long
@pytest.mark.parametrize("name", names_of(ENCODERS))
def test_encoder(name, tasks, speech, tmp_path):
    """The template's configuration, with another ``model`` and nothing else."""
    from espnet_samu.checkpoint.export import export
    from espnet_samu.frontend.samu import SamuFrontend
    from espnet_samu.speech2embedding import Speech2Embedding

    make_encoder(tmp_path / "model", name)
    conf = yaml.safe_load((TEMPLATE / "train_samu.yaml").read_text())["frontend_conf"]
    conf["model"] = str(tmp_path / "model")
    conf["layerdrop"] = 0.0  # all layers are trained by one update
    args = defaults(tasks[0], frontend_conf=conf, projector_conf={"output_size": 4})
    embed = torch.nn.functional.normalize(torch.ones(2, 4), dim=-1)
    model = train_and_save(tasks[0], args, tmp_path / "exp", **speech, embed=embed)
    shutil.rmtree(tmp_path / "model")

    again, _ = tasks[0].build_model_from_file(None, tmp_path / "exp" / "model.pth")
    again.eval()
    expected = model.embed(**speech).embedding
    assert torch.equal(again.embed(**speech).embedding, expected)
    assert again.frontend.portable_conf() == model.frontend.portable_conf()
    # This compares the frames with those of transformers alone.
    export(None, tmp_path / "exp" / "model.pth", tmp_path / "out")
    exported = Speech2Embedding.from_pretrained(tmp_path / "out")
    student = Speech2Embedding(samu_model_file=tmp_path / "exp" / "model.pth")
    torch.testing.assert_close(exported.embed(**speech), student.embed(**speech))
    # As the encoder of the next training
    frontend = SamuFrontend(model=str(tmp_path / "out")).eval()
    again.frontend.dtype = torch.float32
    frames, lengths = frontend(speech["speech"], speech["speech_lengths"])
    expected, _ = again.frontend(speech["speech"], speech["speech_lengths"])
    torch.testing.assert_close(frames, expected)
    assert lengths.tolist() == [frames.size(1), lengths[1]]


@pytest.fixture(scope="module")
def mbart(tmp_path_factory):
    """Folder of mBART-50, and its tokens."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("mbart")
    make_decoder(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    return str(folder), tokens


@pytest.mark.timeout(30)  # six models
@pytest.mark.parametrize("model_type", ["wavlm", "wav2vec2-bert", "whisper"])
def test_template(model_type, tasks, mbart, tmp_path):
    """Its files for translation train with other encoders by ``model`` alone."""
    make_encoder(tmp_path / "model", names_of([model_type])[0])
    speech, lengths = torch.randn(2, 16000), torch.tensor([16000, 12000])
    for path in sorted(TEMPLATE.rglob("train_st*.yaml")):
        conf = yaml.safe_load(path.read_text())
        conf["frontend_conf"]["model"] = str(tmp_path / "model")
        conf["decoder_conf"]["model"], conf["token_list"] = mbart
        conf["src_token_type"] = "none"
        conf.pop("samu_weight", None)  # needs a student
        model = tasks[1].build_model(defaults(tasks[1], **conf)).train()
        text = {
            "text": torch.tensor([[4, 5], [5, -1]]),
            "text_lengths": torch.tensor([2, 1]),
        }
        loss, _, _ = model(speech=speech, speech_lengths=lengths, **text)
        loss.backward()
        assert torch.isfinite(loss), path


@pytest.mark.timeout(20)  # two models
@pytest.mark.parametrize("name", names_of(DECODERS))
def test_decoder(name, tasks, speech, frontend_conf, tmp_path):
    """Trimmed, as in stage 5, with settings of decoding in every file."""
    from espnet_samu.bin.pack import write_pack
    from espnet_samu.speech2text import Speech2Text
    from espnet_samu.text.trimming import trim

    make_decoder(tmp_path / "model", name)
    (tmp_path / "text").write_text("utt1 Good morning\nutt2 The train leaves\n")
    trimmed = tmp_path / "trimmed"
    trim(str(tmp_path / "model"), [str(tmp_path / "text")], str(trimmed))
    config = json.loads((trimmed / "config.json").read_text())
    (trimmed / "config.json").write_text(json.dumps({**config, **SEARCH}))
    (trimmed / "generation_config.json").write_text(json.dumps(SEARCH))
    conf = yaml.safe_load((TEMPLATE / "train_st.yaml").read_text())
    args = defaults(
        tasks[1],
        token_list=str(trimmed / "tokens.txt"),
        token_type="bpe",
        bpemodel=str(trimmed / "bpe.model"),
        src_token_type="none",
        frontend="samu",
        frontend_conf=frontend_conf,
        specaug=None,
        normalize=None,
        encoder=conf["encoder"],
        decoder=conf["decoder"],
        decoder_conf={"model": str(trimmed)},
        tgt_lang_token=conf["tgt_lang_token"],
        model_conf=conf["model_conf"],
    )
    text = {
        "text": torch.tensor([[4, 5, 6], [5, 7, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }
    model = train_and_save(tasks[1], args, tmp_path / "exp", **speech, **text)
    exp = {
        "st_model_file": str(tmp_path / "exp" / "model.pth"),
        "st_train_config": str(tmp_path / "exp" / "config.yaml"),
    }
    write_pack(
        tmp_path / "pack.zip",
        {"st_model_file": exp["st_model_file"]},
        {"st_train_config": exp["st_train_config"]},
    )
    options = {"beam_size": 2, "nbest": 2, "maxlenratio": -12.0}
    translate = Speech2Text(**exp, **options)
    expected = translate(speech["speech"][0])
    shutil.rmtree(tmp_path / "model")
    shutil.rmtree(trimmed)
    shutil.rmtree(tmp_path / "exp")
    packed = Speech2Text.from_pretrained(tmp_path / "pack.zip", tmp_path, **options)
    assert packed(speech["speech"][0]) == expected
    # Nor does the search of a model that was not rebuilt know what was published.
    translate.search.model = model
    assert translate(speech["speech"][0]) == expected
    assert len(expected) == 2
