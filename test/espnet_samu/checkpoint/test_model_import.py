import json
import logging

import pytest
import soundfile
import torch
import yaml

from espnet_samu.bin import st_import, st_inference
from espnet_samu.checkpoint.model_import import import_st
from espnet_samu.speech2text import Speech2Text
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.kaldi_io import read_text

from .conftest import our_logits

# Encoder's fields and decoder's dimension, by what is between the two.
LAYOUTS = {
    "nothing": {},
    "projection": {"hidden_size": 24},
    "adapter": {"add_adapter": True, "num_adapter_layers": 2},
    # As in the models of 1 and 2 billion parameters: the adapter narrows.
    "narrowing adapter": {
        "add_adapter": True,
        "num_adapter_layers": 2,
        "hidden_size": 24,
        "output_hidden_size": 16,
    },
    "adapter and projection": {
        "add_adapter": True,
        "num_adapter_layers": 2,
        "hidden_size": 24,
        "output_hidden_size": 24,
    },
}
TARGETS = torch.tensor([[4, 9, 7, 12, 5], [20, 4, 4, 11, 6]])


class Theirs:
    """The published model as somebody uses it who has transformers only."""

    def __init__(self, folder):
        from transformers import (
            AutoFeatureExtractor,
            AutoTokenizer,
            SpeechEncoderDecoderModel,
        )

        self.extractor = AutoFeatureExtractor.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = SpeechEncoderDecoderModel.from_pretrained(folder).eval()
        self.en_xx = self.tokenizer.convert_tokens_to_ids("en_XX")

    def inputs(self, speech):
        return self.extractor(
            list(speech.numpy()),
            sampling_rate=16000,
            padding=True,
            return_attention_mask=True,
            return_tensors="pt",
        )

    @torch.no_grad()
    def logits(self, speech, targets):
        prefix = torch.tensor([[2, self.en_xx]]).expand(len(speech), 2)
        tokens = torch.cat([prefix, targets], dim=1)
        output = self.model(**self.inputs(speech), decoder_input_ids=tokens)
        # What follows the start token is not ours to predict.
        return output.logits[:, 1:]

    @torch.no_grad()
    def generate(self, speech, **options):
        # mBART's own forced end is at the limit of the batch, not of an utterance.
        options = {"forced_eos_token_id": None, **options}
        return self.model.generate(**self.inputs(speech), **options)


@pytest.fixture
def exp(tmp_path):
    """Folder that the experiments are written to."""
    return tmp_path / "exp" / "st_imported"


@pytest.fixture
def two(noise):
    """Two waveforms of the same length, a tone of 200 Hz and one of 2 kHz in noise."""
    speech, lengths = noise(9000, 9000)
    seconds = torch.arange(9000) / 16000
    tones = torch.tensor([[200.0], [2000.0]]) * 2 * torch.pi * seconds
    return speech + 0.2 * tones.sin(), lengths


@pytest.mark.parametrize(
    "family, layout, of_2021",
    [
        *(("wav2vec2-layer", layout, False) for layout in LAYOUTS),
        ("wav2vec2-layer", "adapter", True),
        ("wav2vec2-group", "nothing", False),
        ("hubert", "projection", False),
        ("wavlm", "adapter", False),
    ],
)
def test_logits(published, exp, tmp_path, two, noise, family, layout, of_2021):
    folder = published(
        tmp_path / "published", family, of_2021=of_2021, **LAYOUTS[layout]
    )
    import_st(str(folder), exp)
    model = Speech2Text(exp / "config.yaml", exp / "imported.pth").model
    theirs = Theirs(folder)
    expected = theirs.logits(two[0], TARGETS)
    assert expected.std() > 0.1
    found = our_logits(model, *two, TARGETS)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    # And in a padded batch, where transformers' adapters see the padding.
    speech, lengths = noise(9000, 5000)
    alone = theirs.logits(speech[1:, :5000], TARGETS[1:])
    found = our_logits(model, speech, lengths, TARGETS)[1:]
    torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)


@pytest.mark.timeout(30)  # a model learns two sentences
@pytest.mark.parametrize("of_2021", [False, True])
def test_translations(published, exp, tmp_path, two, of_2021):
    """Tokens, texts and scores of the three best, and of those that are cut."""
    folder = published(
        tmp_path / "published", of_2021=of_2021, learns=two[0], **LAYOUTS["adapter"]
    )
    import_st(str(folder), exp)
    options = yaml.safe_load((exp / "decode.yaml").read_text())
    # Of 14 tokens start and language are not ours.
    assert options == {
        "beam_size": 3,
        "normalize_length": True,
        "maxlenratio": -12,
        "minlenratio": 0,
    }
    theirs = Theirs(folder)
    files = exp / "config.yaml", exp / "imported.pth"
    prefix = torch.tensor([[2, theirs.en_xx]]).expand(2, 2)
    # transformers divides by the length with the forced token; a given one is not
    # counted.
    given = {"decoder_input_ids": prefix, "forced_bos_token_id": None}
    for length_penalty, how in ((0.0, {}), (1.0, given)):
        for longest in (14, 4):
            expected = theirs.generate(
                two[0],
                num_return_sequences=3,
                max_length=longest,
                length_penalty=length_penalty,
                early_stopping=False,
                output_scores=True,
                return_dict_in_generate=True,
                **how,
            )
            assert (expected.sequences[:, :2] == prefix[0]).all()
            texts = theirs.tokenizer.batch_decode(
                expected.sequences, skip_special_tokens=True
            )
            if longest == 14:
                assert texts[::3] == ["the small dog runs under a tree", "a cat sleeps"]
            options.update(
                nbest=3,
                maxlenratio=float(2 - longest),
                normalize_length=length_penalty == 1.0,
            )
            ours = Speech2Text(*files, **options)
            found = [t for best in ours.batch(list(two[0])) for t in best]
            assert [t.text for t in found] == texts
            for translation, tokens in zip(found, expected.sequences[:, 2:].tolist()):
                # One that is cut has no end token.
                assert translation.token_int == tokens[: [*tokens, 2].index(2)]
            scores = torch.tensor([t.score for t in found])
            torch.testing.assert_close(
                scores, expected.sequences_scores, rtol=0, atol=1e-5
            )


@pytest.mark.timeout(30)  # a model learns two sentences
def test_commands(published, data, exp, tmp_path, two, monkeypatch):
    """As in the recipe: relative paths, default names."""
    monkeypatch.chdir(tmp_path)
    folder = published(tmp_path / "published", learns=two[0], **LAYOUTS["adapter"])
    relative = exp.relative_to(tmp_path)
    st_import.main(["--from", str(folder), "--output_dir", str(relative)])
    # The published folder is needed no more.
    theirs = Theirs(folder)
    folder.rename(tmp_path / "moved")
    assert sorted(path.name for path in exp.glob("[!.]*")) == [
        "config.yaml",
        "decode.yaml",
        "imported.pth",
        "tokenizer",
        "valid.acc.best.pth",
    ]
    st_inference.main(
        [
            f"--config={relative}/decode.yaml",
            f"--st_train_config={relative}/config.yaml",
            f"--st_model_file={relative}/valid.acc.best.pth",
            f"--output_dir={tmp_path}/decode",
            f"--data_path_and_name_and_type={data}/wav.scp,speech,sound",
            "--batch_size=4",
            "--num_workers=0",
            "--normalize_length=false",
        ]
    )
    texts = read_text(tmp_path / "decode" / "1best_recog" / "text")
    for utt, path in read_text(data / "wav.scp").items():
        speech = torch.tensor(soundfile.read(path, dtype="float32")[0])[None]
        expected = theirs.generate(speech, length_penalty=0.0)
        expected = theirs.tokenizer.batch_decode(expected, skip_special_tokens=True)[0]
        assert texts[utt] == expected and len(expected) > 3


def test_no_paths_but_the_tokenizer(published, exp, tmp_path):
    folder = published(tmp_path / "published")
    import_st(str(folder), exp)
    config = yaml.safe_load((exp / "config.yaml").read_text())
    assert config["bpemodel"] == str(exp / "tokenizer")
    del config["bpemodel"]
    assert str(tmp_path) not in yaml.safe_dump(config)
    assert config["tgt_lang_token"] == "en_XX"
    assert config["model_conf"]["tgt_sym_sos"] == "</s>"
    assert config["frontend_conf"]["normalize_waveform"] is True
    assert not config["frontend_conf"]["pretrained"]
    assert not config["decoder_conf"]["pretrained"]


@pytest.mark.timeout(30)  # a model learns two sentences
def test_target_language(published, exp, tmp_path, two, caplog):
    """Of a model that translates into several languages and forces none."""
    folder = published(tmp_path / "published", learns=two[0], **LAYOUTS["adapter"])
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text())
    del settings["forced_bos_token_id"]
    path.write_text(json.dumps({**settings, "no_repeat_ngram_size": 3}))
    with caplog.at_level(logging.WARNING):
        import_st(str(folder), exp)
    assert "forces no target language: name one with --tgt_lang_token" in caplog.text
    assert "{'no_repeat_ngram_size': 3}, which st_inference does not" in caplog.text
    theirs = Theirs(folder)

    def translate(maxlenratio):
        speech2text = Speech2Text(
            exp / "config.yaml",
            exp / "imported.pth",
            beam_size=3,
            maxlenratio=maxlenratio,
            normalize_length=False,
        )
        return [best[0].text for best in speech2text.batch(list(two[0]))]

    def expected(**options):
        tokens = theirs.generate(
            two[0], length_penalty=0.0, no_repeat_ngram_size=0, **options
        )
        return theirs.tokenizer.batch_decode(tokens, skip_special_tokens=True)

    assert translate(-13) == expected()
    import_st(str(folder), exp, tgt_lang_token="de_DE")
    de_de = theirs.tokenizer.convert_tokens_to_ids("de_DE")
    assert translate(-12) == expected(forced_bos_token_id=de_de)
    with pytest.raises(ValueError, match="xx_XX"):
        import_st(str(folder), exp, tgt_lang_token="xx_XX")
    assert (exp / "imported.pth").exists()


def test_refused(published, exp, tmp_path):
    """With the folder's name; what was there is still there."""
    with AtomicFolder(exp, "st_import") as before:
        (before / "before").touch()
    folder = published(tmp_path / "published")
    (folder / "added").mkdir()
    (folder / "added" / "file").touch()
    with pytest.raises(ValueError, match="published would be .* holds an input"):
        import_st(str(folder), folder)
    with pytest.raises(ValueError, match="is not empty and was not made by st_import"):
        import_st(str(folder), folder / "added")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["decoder"]["decoder_layers"] = 3
    path.write_text(json.dumps(config))
    missing = r"published: .*26 missing \['decoder.model.decoder.layers.2"
    with pytest.raises(ValueError, match=missing):
        import_st(str(folder), exp)
    assert [path.name for path in exp.parent.iterdir()] == [exp.name]
    assert [path.name for path in exp.glob("[!.]*")] == ["before"]
