"""Tests of espnet_samu.bin.cascade and espnet_samu.decoding.cascade."""

import json

import pytest
import soundfile
import torch

from espnet_samu.bin.cascade import main
from espnet_samu.decoding.cascade import Cascade
from espnet_samu.utils.kaldi_io import read_text, write_text

WORDS = [f"w{i}" for i in range(40)]
CODES = ["de_DE", "en_XX", "es_XX", "fr_XX"]


@pytest.fixture(scope="module")
def asr(tmp_path_factory):
    """Folder of a small Whisper with a window of 2 s, as converted models are."""
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|es|>", "<|fr|>"]
    special += ["<|translate|>", "<|transcribe|>", "<|notimestamps|>"]
    tokens = [*WORDS, *special, *(f"<|{i * 0.02:.2f}|>" for i in range(101))]
    tokenizer = Tokenizer(WordLevel({t: i for i, t in enumerate(tokens)}, "w0"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, additional_special_tokens=special
    )
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=len(tokens),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_source_positions=100,
        max_target_positions=16,
        init_std=1.0,
        pad_token_id=40,
        bos_token_id=40,
        eos_token_id=40,
        decoder_start_token_id=41,
        begin_suppress_tokens=None,
    )
    folder = tmp_path_factory.mktemp("asr")
    model = transformers.WhisperForConditionalGeneration(config)
    model.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(chunk_length=2).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def mt(tmp_path_factory):
    """Folder of a small M2M-100 whose tokens are words."""
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokens = [*special, *WORDS, *CODES]
    tokenizer = Tokenizer(WordLevel({t: i for i, t in enumerate(tokens)}, "<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=CODES,
    )
    torch.manual_seed(1)
    config = transformers.MBartConfig(
        vocab_size=len(tokens),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=24,
        init_std=1.0,
        decoder_start_token_id=2,
    )
    folder = tmp_path_factory.mktemp("mt")
    transformers.MBartForConditionalGeneration(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def test_set(noise, tmp_path_factory):
    """Data directory of three utterances, fr fr es into en de en; one is over 2 s."""
    folder = tmp_path_factory.mktemp("data") / "test"
    folder.mkdir()
    speech, lengths = noise(16000, 40000, 9000)
    keys = ["utt1", "utt2", "utt3"]
    for key, row, length in zip(keys, speech, lengths):
        soundfile.write(folder / f"{key}.wav", row[:length].numpy(), 16000)
    write_text(folder / "wav.scp", {key: str(folder / f"{key}.wav") for key in keys})
    write_text(folder / "utt2lang", dict(zip(keys, ["fr", "fr", "es"])))
    write_text(folder / "utt2tgt_lang", dict(zip(keys, ["en", "de", "en"])))
    return folder


def read_speech(folder, key):
    speech, _ = soundfile.read(folder / f"{key}.wav", dtype="float32")
    return speech


@torch.no_grad()
def by_transformers(asr, mt, speech, source, target):
    """Transcript and translation, by transformers' own classes, one utterance."""
    import transformers

    extractor = transformers.WhisperFeatureExtractor.from_pretrained(asr)
    features = extractor(speech, sampling_rate=16000, return_tensors="pt")
    whisper = transformers.WhisperForConditionalGeneration.from_pretrained(asr)
    words = transformers.AutoTokenizer.from_pretrained(asr)
    config = whisper.generation_config
    config.lang_to_id = {"<|en|>": 42, "<|es|>": 43, "<|fr|>": 44}
    config.task_to_id = {"translate": 45, "transcribe": 46}
    config.no_timestamps_token_id, config.is_multilingual = 47, True
    ids = whisper.generate(
        features.input_features,
        num_beams=2,
        language=source,
        task="transcribe",
    )
    heard = words.decode(ids[0], skip_special_tokens=True)
    heard = " ".join(w for w in heard.split() if w in WORDS)  # without timestamps
    pieces = transformers.AutoTokenizer.from_pretrained(mt)
    model = transformers.MBartForConditionalGeneration.from_pretrained(mt)
    inputs = pieces(heard, return_tensors="pt", return_token_type_ids=False)
    ids = model.generate(
        **inputs,
        num_beams=2,
        max_new_tokens=22,
        forced_bos_token_id=pieces.convert_tokens_to_ids(target),
    )
    return heard, pieces.decode(ids[0], skip_special_tokens=True)


def command(asr, mt, test_set, output, *more):
    cmd = ["--asr", str(asr), "--data_dirs", str(test_set), "--output_dir", str(output)]
    cmd += ["--mt", str(mt)] if mt else []
    return [*cmd, "--beam_size", "2", "--num_workers", "0", *more]


def test_as_the_models_alone(asr, mt, test_set, tmp_path, capsys):
    main(command(asr, mt, test_set, tmp_path / "exp"))
    out = tmp_path / "exp" / "test"
    assert "3 of 3 utterances translated" in capsys.readouterr().out
    texts, heard = read_text(out / "text"), read_text(out / "transcripts")
    assert list(texts) == list(heard) == ["utt1", "utt2", "utt3"]
    wanted = {"utt1": ("fr", "en_XX"), "utt3": ("es", "en_XX")}
    for key, (source, target) in wanted.items():
        speech = read_speech(test_set, key)
        assert (heard[key], texts[key]) == by_transformers(
            asr, mt, speech, source, target
        )
        assert len(heard[key].split()) > 1
    assert heard["utt1"] != heard["utt3"]
    settings = json.loads((out / "decode.json").read_text())["settings"]
    assert settings["beam_size"] == 2 and len(settings["asr"]) > 3

    # Again: nothing is translated twice, and what was lost is.
    (out / "text").unlink()
    next((out / ".parts").glob("*/*.json")).unlink()
    main(command(asr, mt, test_set, tmp_path / "exp"))
    assert read_text(out / "text") == texts
    report = json.loads((out / "decode.json").read_text())["languages"]
    assert sorted(r["translated"] for r in report.values()) in ([0, 1], [0, 2])


def test_whisper_alone(asr, test_set, tmp_path):
    utt2tgt_lang = test_set / "utt2tgt_lang"
    kept = utt2tgt_lang.read_text()
    with pytest.raises(ValueError, match="language 'de': Whisper .* English only"):
        main(command(asr, None, test_set, tmp_path / "exp"))
    assert not (tmp_path / "exp").exists()
    try:
        utt2tgt_lang.unlink()
        main(command(asr, None, test_set, tmp_path / "exp"))
    finally:
        utt2tgt_lang.write_text(kept)
    out = tmp_path / "exp" / "test"
    assert len(read_text(out / "text")) == 3 and not (out / "transcripts").exists()


@pytest.mark.parametrize("masked", [True, False])
def test_ctc(mt, test_set, speech_models, tmp_path, masked):
    """A recogniser without a decoder; an utterance that is broken fails alone.

    The attention mask is a matter of preprocessor_config.json: wav2vec2-base has none.
    """
    import transformers

    torch.manual_seed(0)
    conf = {k: v for k, v in speech_models["wav2vec2-layer"].items()}
    conf.pop("model_type")
    folder = tmp_path / "ctc"
    config = transformers.Wav2Vec2Config(**conf, vocab_size=8)
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=masked)
    extractor.save_pretrained(folder)
    letters = {letter: i for i, letter in enumerate(["<pad>", "|", *"abcde", "<unk>"])}
    (folder / "vocab.json").write_text(json.dumps(letters))
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(
        folder
    )
    broken = tmp_path / "broken"
    broken.mkdir()
    with pytest.raises(ValueError, match="no multilingual Whisper.*--mt"):
        Cascade(str(folder))
    files = {}
    for key in ("utt1", "utt3"):
        files[key] = str(broken / f"{key}.wav")
        soundfile.write(files[key], read_speech(test_set, key)[:300], 16000)
    files["utt2"] = "/not/there.wav"
    write_text(broken / "wav.scp", files)
    for name in ("utt2lang", "utt2tgt_lang"):
        (broken / name).write_text((test_set / name).read_text())
    with pytest.raises(SystemExit) as info:
        main(command(folder, mt, broken, tmp_path / "exp"))
    assert info.value.code == 1
    out = tmp_path / "exp" / "broken"
    assert list(read_text(out / "failed.scp")) == ["utt2"]
    assert set("".join(read_text(out / "transcripts").values())) <= {*"abcde "}
    main(command(folder, mt, broken, tmp_path / "exp", "--allow_missing", "true"))
    assert len(read_text(out / "text")) == 2
    cascade, seen = Cascade(str(folder), str(mt)), []
    cascade.asr.register_forward_pre_hook(
        lambda _, args, options: seen.append("attention_mask" in options),
        with_kwargs=True,
    )
    cascade.batch([torch.ones(900), torch.ones(600)], ["en", "en"], "fr")
    assert seen == [masked]


def test_errors(asr, mt, test_set, tmp_path, caplog):
    cascade = Cascade(str(asr), str(mt))
    with pytest.raises(ValueError, match="'sw'"):
        cascade.check("fr", ["sw"])
    cascade.check("de", ["en"])
    assert "does not know 'de': it detects the language" in caplog.text
    with pytest.raises(ValueError, match="type 'mbart', which is not for speech rec"):
        Cascade(str(mt))
    with pytest.raises(ValueError, match="type 'whisper', which is not for transla"):
        Cascade(str(asr), str(asr))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        Cascade("/not/there")
    utt2lang = tmp_path / "test" / "utt2lang"
    utt2lang.parent.mkdir()
    utt2lang.write_text("utt1 fr\n")
    (tmp_path / "test" / "wav.scp").write_text("utt1 a.wav\nutt2 b.wav\n")
    with pytest.raises(ValueError, match="utt2lang has no utt2"):
        main(command(asr, mt, tmp_path / "test", tmp_path / "exp"))
    with pytest.raises(SystemExit):
        main(command(asr, mt, test_set, tmp_path / "exp", "--batch_size", "0"))
