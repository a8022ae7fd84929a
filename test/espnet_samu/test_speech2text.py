import copy
import logging
import random
import string
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from espnet_samu.decoding.translation import cut
from espnet_samu.speech2text import Speech2Text
from espnet_samu.tasks.st import STTask
from espnet_samu.utils.kaldi_io import write_text


@pytest.fixture(scope="module")
def lang_exp(st_cmd, tmp_path_factory):
    """Makes folders of a random model of en_XX, de_DE and ja_XX."""

    def make(*args, **conf):
        folder = tmp_path_factory.mktemp("lang_exp")
        tokens = ["<blank>", "<unk>", *string.ascii_lowercase]
        tokens += ["en_XX", "de_DE", "ja_XX", "<sos/eos>"]
        (folder / "tokens.txt").write_text("\n".join(tokens) + "\n")
        conf = {"token_list": f"{folder}/tokens.txt", **conf}
        STTask.main(cmd=st_cmd(folder, "--dry_run=true", *args, **conf))
        torch.manual_seed(0)
        model, _ = STTask.build_model_from_file(folder / "config.yaml")
        torch.save(model.state_dict(), folder / "model.pth")
        return {
            "st_train_config": folder / "config.yaml",
            "st_model_file": folder / "model.pth",
        }

    return make


@pytest.fixture(scope="module")
def files(lang_exp):
    return lang_exp(tgt_lang_token="en_XX")


@pytest.fixture(scope="module")
def speech2text(files):
    return Speech2Text(**files, beam_size=3, nbest=2, maxlenratio=-5)


def noise(seconds, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(int(seconds * 16000), generator=generator) * 0.1


def assert_same(ours, theirs):
    assert [t[:3] for t in ours] == [t[:3] for t in theirs]
    scores = [t.score for t in theirs]
    assert [t.score for t in ours] == pytest.approx(scores, abs=1e-4)


def test_half_precision(files):
    """The model is bfloat16, the waveforms that its features are made of are not."""
    half = Speech2Text(**files, dtype="bfloat16", beam_size=1, maxlenratio=-2)
    seen = []
    half.model.frontend.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].dtype)
    )
    half(noise(0.2))
    assert seen == [torch.float32]
    assert {p.dtype for p in half.model.parameters()} == {torch.bfloat16}


def test_call(speech2text):
    speech = noise(0.2)
    best = speech2text(speech)
    assert len(best) == 2 and best[0].score > best[1].score
    for translation in best:
        token_list = speech2text.model.token_list
        assert translation.token == [token_list[i] for i in translation.token_int]
        assert translation.score < 0
    assert_same(speech2text(speech.double().numpy()), best)


def test_batch(speech2text):
    speeches = [noise(0.2), noise(0.31, 1).numpy(), noise(0.1, 2)]
    langs = ["de", None, "ja_XX"]
    together = speech2text.batch(speeches, langs)
    for speech, lang, best in zip(speeches, langs, together, strict=True):
        assert_same(speech2text(speech, lang), best)
    assert_same(speech2text.batch(speeches)[1], together[1])
    # a language makes a difference, and the default is one of them
    assert speech2text(speeches[0]) != together[0]
    assert_same(speech2text(speeches[0], "en"), speech2text(speeches[0]))


@pytest.mark.parametrize("backend", ["generate", "beam_search"])
def test_backends(files, speech2text, backend, caplog):
    caplog.set_level(logging.INFO)
    other = Speech2Text(**files, beam_size=3, nbest=2, maxlenratio=-5, backend=backend)
    assert other.backend == backend and speech2text.backend == "beam_search"
    assert f"search backend {backend}: it was chosen" in caplog.text
    for lang in (None, "de"):
        assert_same(other(noise(0.2), lang), speech2text(noise(0.2), lang))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("lang, glue", [("de", " "), ("ja", "")])
def test_long_form(files, normalize, lang, glue):
    options = {"beam_size": 3, "nbest": 2, "maxlenratio": -5}
    options["normalize_length"] = normalize
    whole = Speech2Text(**files, **options)
    pieced = Speech2Text(**files, **options, chunk_seconds=1)
    speech = noise(2.3)
    pieces = cut(speech, 16000)
    assert len(pieces) >= 3
    found = pieced(speech, lang)
    parts = [whole(piece, lang) for piece in pieces]
    for n in range(2):
        ours, theirs = found[n], [best[n] for best in parts]
        texts = [translation.text for translation in theirs if translation.text]
        assert ours.text == glue.join(texts)
        assert ours.token_int == sum((t.token_int for t in theirs), [])
        assert ours.token == sum((t.token for t in theirs), [])
        # as many tokens as the score counts: with the end, unless the limit was it
        lengths = [min(5, len(t.token) + 1) for t in theirs]
        if normalize:
            total = sum(t.score * n for t, n in zip(theirs, lengths)) / sum(lengths)
        else:
            total = sum(t.score for t in theirs)
        assert ours.score == pytest.approx(total, abs=1e-4)
    # what is short is not cut, whatever is beside it
    short = noise(0.9, 3)
    for best, expected in zip(
        pieced.batch([short, speech], ["de", lang]), (whole(short, "de"), found)
    ):
        assert_same(best, expected)


def test_pieces_in_batches(files, monkeypatch):
    monkeypatch.setattr("espnet_samu.speech2text.PIECES", 4)
    pieced = Speech2Text(**files, beam_size=1, maxlenratio=-3, chunk_seconds=1)
    batches = []
    find = pieced.find

    def watched(speech, lengths, languages):
        batches.append(lengths.tolist())
        return find(speech, lengths, languages)

    monkeypatch.setattr(pieced, "find", watched)
    speeches = [noise(3.1), noise(0.2, 1), noise(2.3, 2)]
    found = pieced.batch(speeches)
    sizes = [len(piece) for speech in speeches for piece in cut(speech, 16000)]
    assert sum(batches, []) == sorted(sizes, reverse=True)
    assert [len(batch) for batch in batches[:-1]] == [4] * (len(batches) - 1)
    assert len(batches) == 3
    for speech, best in zip(speeches, found):
        assert_same(pieced(speech), best)


def test_languages_of_the_data(lang_exp, tmp_path):
    """A model without a default that was trained with utt2tgt_lang."""
    languages = tmp_path / "utt2tgt_lang"
    write_text(languages, dict.fromkeys(("utt1", "utt2", "utt3", "utt4"), "de"))
    args = [
        f"--{part}_data_path_and_name_and_type={languages},tgt_lang,text"
        for part in ("train", "valid")
    ]
    speech2text = Speech2Text(**lang_exp(*args), beam_size=1, maxlenratio=-4)
    assert speech2text.languages.default is None
    speech2text(noise(0.2), "de")
    with pytest.raises(ValueError, match="the model has no language of its own; it kn"):
        speech2text(noise(0.2))


def test_one_language(lang_exp):
    speech2text = Speech2Text(**lang_exp(), beam_size=1, maxlenratio=-4)
    assert not speech2text.languages.has_tokens
    speech2text(noise(0.2))
    with pytest.raises(ValueError, match="tgt_lang de: the model was trained without"):
        speech2text(noise(0.2), "de")


@pytest.mark.parametrize(
    "speech, message",
    [
        (np.zeros(0, dtype=np.float32), "speech: the waveform has no samples"),
        (np.zeros((2, 1600), dtype=np.float32), "choose one channel"),
        (np.zeros(1600, dtype=np.int16), "divide 16-bit samples by 32768"),
        (np.full(1600, np.inf), "1600 of 1600 samples are NaN or infinite"),
        (
            np.zeros(50, dtype=np.float32),
            "^speech: 50 samples are too short for a frame of wav2vec2$",
        ),
        ("a.wav", "speech: 'a.wav' is a path"),
        (np.ones(1600) * 12000, "divide samples of 16 bits by 32768"),
    ],
)
def test_bad_waveforms(speech2text, speech, message):
    with pytest.raises(ValueError, match=message):
        speech2text(speech)


def test_rates(speech2text):
    assert_same(speech2text(noise(0.2), sampling_rate=16000), speech2text(noise(0.2)))
    with pytest.raises(ValueError, match="speech: the waveform has 8000 Hz"):
        speech2text(noise(0.2), sampling_rate=8000)
    # as soundfile.read gives it
    with pytest.raises(
        ValueError, match="tgt_lang 8000 is not a language.* sampling_rate"
    ):
        speech2text(*(noise(0.2), 8000))


@pytest.mark.parametrize("backend", ["generate", "beam_search"])
def test_threads(files, backend, threaded_frontend, in_threads):
    """Eight threads get what each utterance gets alone, in every family."""
    speech2text = Speech2Text(**files, beam_size=2, maxlenratio=-3, backend=backend)
    speech2text.model.frontend = threaded_frontend
    copied = copy.deepcopy(speech2text)
    calls = [(noise(0.1 + 0.03 * i, seed=i), ("de", None)[i % 2]) for i in range(8)]
    expected = [copied(*call) for call in calls] * 3
    found = in_threads(lambda call: speech2text(*call), calls * 3)
    for ours, theirs in zip(found, expected, strict=True):
        assert_same(ours, theirs)


def test_bad_batches(speech2text):
    with pytest.raises(ValueError, match="speeches is empty"):
        speech2text.batch([])
    with pytest.raises(ValueError, match="1 tgt_langs for 2 speeches"):
        speech2text.batch([noise(1), noise(1)], ["de"])
    with pytest.raises(ValueError, match=r"speeches\[1\]: the waveform has no samples"):
        speech2text.batch([noise(1), torch.zeros(0)])
    with pytest.raises(ValueError, match="target language 'xx'"):
        speech2text(noise(1), "xx")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"beam_size": 0}, "beam_size 0 must be 1 or more"),
        ({"beam_size": 2, "nbest": 3}, "nbest 3 must be from 1 to beam_size 2"),
        ({"dtype": "float8"}, "dtype 'float8' is not one of float16, bfloat16"),
        ({"chunk_seconds": 0.1}, "chunk_seconds 0.1 must be 1 or more"),
        ({"ctc_weight": 0.3}, "the model has no CTC over translations"),
        ({"lm_train_config": "lm.yaml"}, "lm_file must be given too"),
        ({"token_type": "bpe"}, "bpemodel 'None', .* is missing"),
        (
            {"beam_size": 33, "backend": "beam_search"},
            "beam_size 33 is wider than the model's vocabulary of 32 tokens",
        ),
        (
            {"hugging_face_decoder": True, "ngram_file": None},
            "Speech2Text has no hugging_face_decoder, ngram_file; its search has",
        ),
    ],
)
def test_bad_options(files, options, message):
    with pytest.raises((ValueError, FileNotFoundError, TypeError), match=message):
        Speech2Text(**files, **options)


def test_as_wide_as_the_vocabulary(files):
    found = Speech2Text(
        **files, beam_size=32, nbest=32, backend="beam_search", maxlenratio=-2
    )(noise(0.2))
    assert len(found) == 32


def test_the_process_stays_as_it_was(files, speech2text, monkeypatch):
    """No handler of the root logger, no random number, no other weights."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.set_default_dtype(torch.bfloat16)
    try:
        ours = Speech2Text(**files, beam_size=3, nbest=2, maxlenratio=-5)
        assert torch.get_default_dtype() == torch.bfloat16
        assert_same(ours(noise(0.2)), speech2text(noise(0.2)))
    finally:
        torch.set_default_dtype(torch.float32)
    assert root.handlers == []
    assert torch.equal(torch.get_rng_state(), states[0])
    assert str(np.random.get_state()) == str(states[1])
    assert random.getstate() == states[2]
    expected = speech2text.model.state_dict()
    for name, weight in ours.model.state_dict().items():
        assert weight.dtype == expected[name].dtype and weight.equal(expected[name])


def test_bad_files(files, st_exp, samu_exp, tmp_path):
    with pytest.raises(ValueError, match="is of a student .*; use Speech2Embedding"):
        Speech2Text(st_model_file=samu_exp / "1epoch.pth")
    with pytest.raises(ValueError, match="st_train_config and st_model_file are not"):
        Speech2Text()
    with pytest.raises(FileNotFoundError, match="st_model_file .*none.pth is missing"):
        Speech2Text(files["st_train_config"], tmp_path / "none.pth")
    with pytest.raises(FileNotFoundError, match="st_train_config .*yaml is missing"):
        Speech2Text(st_model_file=tmp_path / "none.pth")
    # 30 tokens in one, 32 in the other
    message = "of another shape .*; the model has 32 tokens: is the .* another vocabula"
    with pytest.raises(ValueError, match=message):
        Speech2Text(files["st_train_config"], st_exp / "1epoch.pth")


def test_whisper_needs_pieces(lang_exp, speech_models):
    """Its window is 1 s here."""
    files = lang_exp(frontend_conf={"model_conf": speech_models["whisper"]})
    options = {"beam_size": 1, "maxlenratio": -3}
    message = (
        r"^speeches\[1\]: 24000 samples are longer than the window of whisper, 160"
    )
    with pytest.raises(ValueError, match=message):
        Speech2Text(**files, **options).batch([noise(0.5), noise(1.5)])
    found = Speech2Text(**files, **options, chunk_seconds=1)(noise(1.5))
    assert 2 <= len(found[0].token) <= 6
    message = "chunk_seconds 2 is longer than the window of .* encoder: at most 1$"
    with pytest.raises(ValueError, match=message):
        Speech2Text(**files, chunk_seconds=2)


def test_scores_that_are_not_finite(files):
    speech2text = Speech2Text(**files, beam_size=1, maxlenratio=-4)
    torch.nn.init.constant_(speech2text.model.decoder.model.lm_head.weight, np.nan)
    with pytest.raises(ValueError, match="scores are not finite in torch.float32"):
        speech2text(noise(0.2))


def test_language_model(files, monkeypatch, tmp_path, caplog):
    from espnet2.tasks.lm import LMTask

    tokens = Speech2Text(**files).model.token_list

    class LM(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lm = torch.nn.Linear(1, 1)

    def load(config, file, device):
        return LM(), SimpleNamespace(token_list=tokens[: 30 if file == "few" else None])

    monkeypatch.setattr(LMTask, "build_model_from_file", load)
    with pytest.raises(
        ValueError, match="lm_file few: it has 30 tokens that are not t"
    ):
        Speech2Text(**files, lm_file="few")
    # of no weight it is not even read
    caplog.set_level(logging.INFO)
    assert Speech2Text(**files, lm_file="few", lm_weight=0.0).backend == "beam_search"
    assert "search backend beam_search: the faster one on a CPU" in caplog.text
