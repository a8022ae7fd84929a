"""Tests of espnet_samu.checkpoint.published_seamless, through st_import."""

import json
import logging

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from espnet_samu.checkpoint.model_import import import_st
from espnet_samu.speech2text import Speech2Text

from ...egs2.tiny_models import make_seamless, train_sentencepiece
from .conftest import our_logits

TARGETS = torch.tensor([[4, 9, 7, 12, 5]])


@pytest.fixture(scope="module")
def pieces():
    """Content of a sentencepiece model."""
    return train_sentencepiece(model_type="bpe")


@pytest.fixture
def published(pieces, speech_models, tmp_path):
    """Makes a folder of a random SeamlessM4T (seed 0), and transformers' own S2TT."""
    import transformers

    folder = tmp_path / "published"

    def make(family="seamless_m4t_v2"):
        conf = {k: v for k, v in speech_models[family].items() if k != "vocab_size"}
        make_seamless(folder, pieces, **conf)
        settings = {"max_new_tokens": 12, "num_beams": 3}
        change(folder / "generation_config.json", **settings)
        version = {"seamless_m4t": "", "seamless_m4t_v2": "v2"}[family]
        theirs = getattr(transformers, f"SeamlessM4T{version}ForSpeechToText")
        return folder, theirs.from_pretrained(folder).eval()

    return make


def change(path, **fields):
    """Replace fields of a JSON file; those that are None are left out."""
    content = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def features(folder, waveform):
    """transformers' input; frames that cannot be stacked are cut."""
    from transformers import AutoFeatureExtractor

    return AutoFeatureExtractor.from_pretrained(folder)(
        waveform.numpy(),
        sampling_rate=16000,
        return_tensors="pt",
        pad_to_multiple_of=None,
    )


@pytest.fixture
def exp(tmp_path):
    """Folder that the experiments are written to."""
    return tmp_path / "exp" / "st_seamless"


@pytest.mark.parametrize("family", ["seamless_m4t", "seamless_m4t_v2"])
def test_logits(published, exp, noise, family):
    folder, theirs = published(family)
    import_st(str(folder), exp, tgt_lang_token="fr")
    row = theirs.generation_config.text_decoder_lang_to_code_id["fra"]
    model = Speech2Text(exp / "config.yaml", exp / "imported.pth").model
    assert model.token_list[row] == "__fra__"
    speech, lengths = noise(9040, 16000)
    found = our_logits(model, speech, lengths, TARGETS.expand(2, -1))
    for i, n in enumerate(lengths):
        tokens = torch.cat([torch.tensor([[3, row]]), TARGETS], dim=1)
        with torch.no_grad():
            inputs = features(folder, speech[i, :n])
            expected = theirs(**inputs, decoder_input_ids=tokens).logits[:, 1:]
        assert expected.std() > 0.1
        # Features in numpy differ by 1e-4.
        torch.testing.assert_close(found[i : i + 1], expected, rtol=0, atol=2e-3)
    embedding = theirs.shared.weight
    assert torch.equal(model.decoder.model.lm_head.weight, embedding)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_translations(published, exp, noise, length_penalty):
    """Tokens, texts and scores of the three best, in two languages."""
    from transformers import AutoTokenizer

    folder, theirs = published()
    import_st(str(folder), exp, tgt_lang_token="fra")
    options = yaml.safe_load((exp / "decode.yaml").read_text())
    assert options == {
        "beam_size": 3,
        "normalize_length": True,
        "maxlenratio": -12,
        "minlenratio": 0,
    }
    options.update(nbest=3, normalize_length=length_penalty == 1.0)
    ours = Speech2Text(exp / "config.yaml", exp / "imported.pth", **options)
    speech, lengths = noise(9040, 16000)
    speeches = [row[:n] for row, n in zip(speech, lengths)]
    found = ours.batch(speeches, ["fra", "zh-TW"])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for waveform, language, best in zip(speeches, ("fra", "cmn_Hant"), found):
        expected = theirs.generate(
            **features(folder, waveform),
            tgt_lang=language,
            num_return_sequences=3,
            length_penalty=length_penalty,
            output_scores=True,
            return_dict_in_generate=True,
        )
        sequences = expected.sequences[:, 2:].tolist()
        for translation, tokens in zip(best, sequences, strict=True):
            assert translation.token_int == tokens[: [*tokens, 3].index(3)]
            text = tokenizer.decode(tokens, skip_special_tokens=True)
            assert translation.text == text
        torch.testing.assert_close(
            torch.tensor([translation.score for translation in best]),
            expected.sequences_scores,
            rtol=0,
            atol=2e-3,
        )
    first, second = (best[0].token_int for best in found)
    assert first != second


def test_beam_search_of_espnet(published, exp, noise):
    folder, theirs = published()
    import_st(str(folder), exp, tgt_lang_token="deu")
    speech, lengths = noise(9040)
    files = exp / "config.yaml", exp / "imported.pth"
    options = {"beam_size": 1, "maxlenratio": -12.0, "normalize_length": False}
    ours = Speech2Text(*files, backend="beam_search", **options)
    expected = theirs.generate(
        **features(folder, speech[0]), tgt_lang="deu", num_beams=1
    )
    tokens = expected[0, 2:].tolist()
    found = ours(speech[0])[0].token_int
    assert found == tokens[: [*tokens, 3].index(3)] and len(found) > 2


def test_what_is_written(published, exp, tmp_path, caplog):
    folder, _ = published()
    with caplog.at_level(logging.WARNING):
        import_st(str(folder), exp)
    assert "forces no target language: name one with --tgt_lang_token" in caplog.text
    config = yaml.safe_load((exp / "config.yaml").read_text())
    assert config.pop("bpemodel") == str(exp / "tokenizer")
    assert str(tmp_path) not in yaml.safe_dump(config)
    assert config["model_conf"]["tgt_sym_sos"] == "</s>"
    assert config["frontend_conf"]["log_mel_conf"] == {"n_mels": 80, "stack": 2}
    assert config["decoder_conf"]["model_conf"]["model_type"] == "m2m_100"
    # Needs neither the published folder nor the hub.
    folder.rename(tmp_path / "moved")
    Speech2Text(exp / "config.yaml", exp / "imported.pth")


def test_lengths_of_all_tokens(published, exp):
    """max_length counts the given language, as max_new_tokens does not."""
    folder, _ = published()
    change(folder / "generation_config.json", max_new_tokens=None, max_length=14)
    import_st(str(folder), exp, tgt_lang_token="eng")
    assert yaml.safe_load((exp / "decode.yaml").read_text())["maxlenratio"] == -12


def test_unknown_languages(published, exp):
    folder, theirs = published()
    rows = theirs.generation_config.text_decoder_lang_to_code_id
    for name in ("en_XX", "xx", "__fra__"):
        spoken = {code: row for code, row in rows.items() if code not in ("eng", "fra")}
        change(folder / "generation_config.json", text_decoder_lang_to_code_id=spoken)
        match = f"language '{name}' has no code among the {len(spoken)} of this model"
        with pytest.raises(ValueError, match=match):
            import_st(str(folder), exp, tgt_lang_token=name)
    assert not exp.exists()
    wrong = {"arb": rows["arb"], "deu": rows["eng"]}
    change(folder / "generation_config.json", text_decoder_lang_to_code_id=wrong)
    with pytest.raises(ValueError, match="for the language 'deu', which is __eng__ in"):
        import_st(str(folder), exp)


def test_other_files(published, exp):
    folder, _ = published()
    path = folder / "preprocessor_config.json"
    before = path.read_text()
    for fields, message in (
        ({"sampling_rate": 8000}, "SeamlessM4TFeatureExtractor at 8000 Hz; only"),
        (
            {"feature_extractor_type": "WhisperFeatureExtractor"},
            "prepared by WhisperFeatureExtractor",
        ),
    ):
        change(path, **fields)
        with pytest.raises(ValueError, match=message):
            import_st(str(folder), exp)
        path.write_text(before)
    path.unlink()
    with pytest.raises(ValueError, match="has no preprocessor_config.json, which"):
        import_st(str(folder), exp)
    path.write_text(before)
    change(folder / "config.json", vocab_size=99)
    with pytest.raises(ValueError, match="has 99 tokens, but its tokeniser"):
        import_st(str(folder), exp)


def test_other_weights(published, exp):
    """Missing, unknown and of another shape, by the checkpoint's own names."""
    folder, _ = published()
    file = folder / "model.safetensors"
    before = load_file(file)

    def write(**new):
        new = {name.replace("__", "."): value for name, value in new.items()}
        state = {k: v for k, v in {**before, **new}.items() if v is not None}
        save_file(state, file, metadata={"format": "pt"})

    write(
        speech_encoder__inner_layer_norm__bias=None,
        text_decoder__layer_norm__bias=torch.zeros(3),
        speech_encoder__other=torch.zeros(3),
    )
    with pytest.raises(ValueError) as info:
        import_st(str(folder), exp)
    for part in (
        "published: the checkpoint does not fit its config.json: ",
        "1 missing ['speech_encoder.inner_layer_norm.bias']",
        "1 unexpected ['speech_encoder.other']",
        "1 of another shape ['text_decoder.layer_norm.bias [3] for [16]']",
    ):
        assert part in str(info.value)
    write(lm_head__weight=before["shared.weight"].flip(0))
    with pytest.raises(ValueError, match="lm_head.weight is not shared.weight; dec"):
        import_st(str(folder), exp)
    assert not exp.exists()
