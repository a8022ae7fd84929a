import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet_samu.bin import st_inference
from espnet_samu.bin.st_inference import Speech2Text, get_parser, main
from espnet_samu.tasks.st import STTask
from espnet_samu.utils.kaldi_io import read_text

UTTERANCES = ["utt1", "utt2", "utt3", "utt4"]
FILES = ("text", "token", "token_int", "score")


@pytest.fixture(scope="module")
def exp(st_cmd, tmp_path_factory):
    """Folder of a model that knows the four utterances of the data folder by heart."""
    folder = tmp_path_factory.mktemp("exp")
    cmd = st_cmd(
        folder,
        tgt_lang_token="en_XX",
        num_iters_per_epoch=150,
        optim="adam",
        optim_conf={"lr": 0.01},
    )
    STTask.main(cmd=cmd)
    return folder


@pytest.fixture
def files(exp):
    return {
        "st_train_config": f"{exp}/config.yaml",
        "st_model_file": f"{exp}/1epoch.pth",
    }


@pytest.fixture
def decode(files, data, tmp_path):
    """Runs the command; returns the files of the n best by n and name."""
    folder = data

    def run(*args, name="decode", data=folder):
        cmd = [f"--{k}={v}" for k, v in files.items()]
        cmd += [f"--output_dir={tmp_path}/{name}", "--num_workers=0", *args]
        main([*cmd, f"--data_path_and_name_and_type={data}/wav.scp,speech,sound"])
        folders = sorted((tmp_path / name).glob("*best_recog"))
        return [{file: read_text(f / file) for file in FILES} for f in folders]

    return run


@pytest.fixture
def model(exp):
    return STTask.build_model_from_file(None, exp / "1epoch.pth")[0].eval()


def log_probs(model, batch, i, ids):
    """Log-probability of each token of a hypothesis and of the end, by forward()."""
    n = batch[1][i]
    with torch.no_grad():
        frames, lengths = model.encode(batch[0][i : i + 1, :n], batch[1][i : i + 1])
        ys = torch.tensor([[model.sos, *ids]])
        logits, _ = model.decoder(frames, lengths, ys, torch.tensor([len(ids) + 1]))
    steps = logits[0].log_softmax(-1)
    return steps[torch.arange(len(ids) + 1), torch.tensor([*ids, model.eos])]


@pytest.mark.parametrize("beam", [1, 4])
def test_texts(decode, data, beam):
    best = decode(f"--beam_size={beam}", "--batch_size=3", "--normalize_length=true")
    assert best[0]["text"] == read_text(data / "text")
    assert best[0]["token"]["utt4"] == "d c b a"
    # <blank> and <unk> come first
    assert best[0]["token_int"]["utt4"] == "5 4 3 2"


@pytest.mark.parametrize("minlenratio", [0, -5])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("beam, nbest", [(1, 1), (3, 2)])
def test_scores(decode, model, batch, beam, nbest, normalize, minlenratio):
    best = decode(
        f"--beam_size={beam}",
        f"--nbest={nbest}",
        "--batch_size=3",
        "--maxlenratio=-6",
        f"--minlenratio={minlenratio}",
        f"--normalize_length={normalize}",
    )
    assert len(best) == nbest
    for files in best:
        for file in FILES:
            assert list(files[file]) == UTTERANCES
        for i, utt in enumerate(UTTERANCES):
            ids = [int(token) for token in files["token_int"][utt].split()]
            tokens = [model.token_list[k] for k in ids]
            assert files["token"][utt].split() == tokens
            # no start, target-language or end token that was not translated
            assert files["text"][utt] == "".join(tokens)
            assert -minlenratio <= len(ids) <= 6
            steps = log_probs(model, batch, i, ids)
            steps = steps[:6]  # one cut at the limit has no end token
            expected = steps.mean() if normalize else steps.sum()
            assert float(files["score"][utt]) == pytest.approx(
                expected.item(), abs=1e-3
            )
    if nbest == 2:
        for utt in UTTERANCES:
            first, second = (files["score"][utt] for files in best)
            assert float(first) >= float(second)
            assert best[0]["token_int"][utt] != best[1]["token_int"][utt]


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("maxlenratio, minlenratio", [(0.0, 0.0), (0.1, 0.05), (-5, 0)])
def test_batch_equals_alone(decode, beam, maxlenratio, minlenratio):
    options = [f"--beam_size={beam}", f"--nbest={beam}"]
    options += [f"--maxlenratio={maxlenratio}", f"--minlenratio={minlenratio}"]
    together = decode(*options, "--batch_size=4", name="together")
    alone = decode(*options, "--batch_size=1", name="alone")
    for ours, theirs in zip(together, alone, strict=True):
        for file in ("text", "token", "token_int"):
            assert ours[file] == theirs[file]
        for utt in UTTERANCES:
            scores = float(ours["score"][utt]), float(theirs["score"][utt])
            assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@pytest.mark.parametrize("beam", [1, 2])
def test_length_limits(decode, model, batch, beam):
    frames = model.frontend.output_lengths(batch[1])
    assert frames.tolist() == [73, 123, 48, 98]
    options = [f"--beam_size={beam}", "--batch_size=4"]

    def lengths(*ratios):
        tokens = decode(*options, *ratios)[0]["token_int"].values()
        return [len(token.split()) for token in tokens]

    # ESPnet's: a share of the utterance's own frames
    assert lengths("--maxlenratio=0.022") == [1, 2, 1, 2]
    assert lengths("--maxlenratio=-2") == [2, 2, 1, 2]
    assert lengths("--minlenratio=0.1", "--maxlenratio=0.1") == [7, 12, 4, 9]
    assert lengths("--minlenratio=-6", "--maxlenratio=-6") == [6, 6, 6, 6]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_speech2text(files, model, batch, decode, dtype):
    speech2text = Speech2Text(
        **files,
        beam_size=3,
        nbest=2,
        maxlenratio=-6,
        normalize_length=False,
        dtype=dtype,
    )
    best = decode("--beam_size=3", "--nbest=2", "--maxlenratio=-6")
    for speech in (batch[0][0, :3000], batch[0][0, :3000].numpy().astype(np.float64)):
        translations = speech2text(speech)
        assert len(translations) == 2
        for translation, expected in zip(translations, best):
            assert translation.text == expected["text"]["utt1"]
            assert " ".join(translation.token) == expected["token"]["utt1"]
            ids = " ".join(map(str, translation.token_int))
            assert ids == expected["token_int"]["utt1"]
            score = pytest.approx(float(expected["score"]["utt1"]), abs=1e-3)
            assert translation.score == score


def test_config_beside_the_model(decode, exp, batch):
    expected = decode("--beam_size=1", "--maxlenratio=-4")[0]
    speech2text = Speech2Text.from_pretrained(
        st_model_file=f"{exp}/1epoch.pth", beam_size=1, maxlenratio=-4
    )
    assert speech2text.model.decoder.lang_token_id == 28
    assert speech2text(batch[0][1])[0].text == expected["text"]["utt2"] == "bcd"


def test_key_file_and_yaml(decode, tmp_path):
    (tmp_path / "keys").write_text("utt2\nutt4\n")
    conf = {"beam_size": 2, "maxlenratio": -4, "batch_size": 2}
    (tmp_path / "decode.yaml").write_text(yaml.safe_dump(conf))
    some = decode(
        f"--config={tmp_path}/decode.yaml", f"--key_file={tmp_path}/keys", name="some"
    )[0]
    assert list(some["text"]) == ["utt2", "utt4"]
    whole = decode("--beam_size=2", "--maxlenratio=-4", name="whole")[0]
    for file in ("text", "token", "token_int"):
        assert some[file] == {utt: whole[file][utt] for utt in ("utt2", "utt4")}


@pytest.mark.parametrize("option, value", [("asr_nbest", 3), ("ngram_weight", 0.5)])
@pytest.mark.parametrize("from_yaml", [False, True])
def test_unserved_options(decode, tmp_path, capsys, option, value, from_yaml):
    args = [f"--{option}={value}"]
    if from_yaml:
        (tmp_path / "decode.yaml").write_text(f"{option}: {value}\n")
        args = [f"--config={tmp_path}/decode.yaml"]
    with pytest.raises(SystemExit) as info:
        decode(*args)
    assert info.value.code == 2
    error = capsys.readouterr().err
    assert f"--{option} {value}: not available with decoder: mbart" in error
    assert not (tmp_path / "decode").exists()


@pytest.mark.parametrize("option", ["ngpu=2", "batch_size=0"])
def test_refused(decode, capsys, option):
    with pytest.raises(SystemExit):
        decode(f"--{option}")
    assert f"--{option.replace('=', ' ')}" in capsys.readouterr().err


def test_wrong_values(decode, data):
    with pytest.raises(ValueError, match="nbest 3 must be from 1 to beam_size 2"):
        decode("--beam_size=2", "--nbest=3")
    with pytest.raises(ValueError, match="beam_size 0 must be 1 or more"):
        decode("--beam_size=0")
    with pytest.raises(ValueError, match="names text, speech, but decoding reads"):
        decode(f"--data_path_and_name_and_type={data}/text,text,text")


def test_transformer_decoder_is_refused(st_cmd, tmp_path):
    conf = {"num_blocks": 1, "linear_units": 8}
    cmd = st_cmd(tmp_path, "--dry_run=true", decoder="transformer", decoder_conf=conf)
    STTask.main(cmd=cmd)
    with pytest.raises(ValueError, match="decoder 'transformer' is not mbart; use"):
        Speech2Text(tmp_path / "config.yaml")


@pytest.mark.parametrize("beam, nbest", [(1, 1), (3, 2)])
def test_backends_agree(decode, beam, nbest):
    options = [f"--beam_size={beam}", f"--nbest={nbest}", "--maxlenratio=-6"]
    options += ["--minlenratio=-2", "--normalize_length=true", "--batch_size=3"]
    generated = decode(*options, "--backend=generate", name="generate")
    searched = decode(*options, "--backend=beam_search", name="beam_search")
    for ours, theirs in zip(searched, generated, strict=True):
        for file in ("text", "token", "token_int"):
            assert ours[file] == theirs[file]
        for utt in UTTERANCES:
            score = pytest.approx(float(theirs["score"][utt]), abs=1e-4)
            assert float(ours["score"][utt]) == score


@pytest.fixture
def lm(exp, tmp_path):
    """Configuration and checkpoint of a random language model of the same tokens."""
    from espnet2.tasks.lm import LMTask

    tokens = yaml.safe_load((exp / "config.yaml").read_text())["token_list"]
    (tmp_path / "lm_tokens.txt").write_text("\n".join(tokens) + "\n")
    conf = {"lm": "seq_rnn", "lm_conf": {"unit": 8, "nlayers": 1}, "token_type": "char"}
    conf.update(token_list=f"{tmp_path}/lm_tokens.txt", use_preprocessor=True)
    (tmp_path / "lm.yaml").write_text(yaml.safe_dump(conf))
    args = [f"--config={tmp_path}/lm.yaml", f"--output_dir={tmp_path}/lm"]
    LMTask.main(cmd=[*args, "--dry_run=true"])
    torch.manual_seed(0)
    model, _ = LMTask.build_model_from_file(tmp_path / "lm" / "config.yaml")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    torch.save(model.state_dict(), tmp_path / "lm.pth")
    return tmp_path / "lm" / "config.yaml", tmp_path / "lm.pth", model.eval()


def test_language_model(decode, model, batch, lm):
    config, file, lm_model = lm
    best = decode(
        f"--lm_train_config={config}",
        f"--lm_file={file}",
        "--lm_weight=3",
        "--penalty=0.3",
        "--beam_size=3",
        "--batch_size=4",
        "--maxlenratio=-6",
    )[0]
    plain = decode("--beam_size=3", "--batch_size=4", "--maxlenratio=-6", name="plain")
    assert best["token_int"] != plain[0]["token_int"]
    for i, utt in enumerate(UTTERANCES):
        ids = [int(token) for token in best["token_int"][utt].split()]
        steps = log_probs(model, batch, i, ids)[:6]
        with torch.no_grad():
            tokens = torch.tensor([[model.sos, *ids]])
            logits, _ = lm_model.lm(tokens, None)
        lm_steps = logits[0].log_softmax(-1)
        targets = torch.tensor([*ids, model.eos])
        lm_steps = lm_steps[torch.arange(len(targets)), targets][:6]
        expected = steps.sum() + 3 * lm_steps.sum() + 0.3 * len(steps)
        score = pytest.approx(expected.item(), abs=1e-3)
        assert float(best["score"][utt]) == score


def test_sampling(decode):
    options = ["--do_sample=true", "--beam_size=1", "--nbest=5", "--temperature=3"]
    options += ["--maxlenratio=-6", "--batch_size=4"]
    first, again = (decode(*options, name=name) for name in ("first", "again"))
    other = decode(*options, "--seed=1", name="other")
    assert len(first) == 5
    assert first == again != other


def test_broken_utterances(decode, data, tmp_path, caplog, monkeypatch):
    """Broken ones are named, the others are translated, the command fails."""
    whole = decode("--beam_size=2", "--batch_size=4", name="whole")[0]
    files = read_text(data / "wav.scp")
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "nan.wav", np.full(900, np.nan), 16000, "FLOAT")
    soundfile.write(tmp_path / "short.wav", np.zeros(60), 16000)
    soundfile.write(tmp_path / "long.wav", np.ones(9000) * 0.1, 16000)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    broken = ["text", "nan", "short", "long", "empty", "missing"]
    table = {key: f"{tmp_path}/{key}.wav" for key in broken[:3]}
    table |= files | {key: f"{tmp_path}/{key}.wav" for key in broken[3:]}
    (tmp_path / "wav.scp").write_text("".join(f"{k} {v}\n" for k, v in table.items()))
    encode = STTask.build_model_from_file

    def build(*args):
        model, train_args = encode(*args)
        inner = model.encode

        def scarce(speech, lengths):
            if speech.size(1) == 9000:
                raise torch.OutOfMemoryError("Tried to allocate 99 GiB")
            return inner(speech, lengths)

        model.encode = scarce
        return model, train_args

    monkeypatch.setattr(STTask, "build_model_from_file", build)
    options = ["--beam_size=2", "--batch_size=4", f"--output_dir={tmp_path}/some"]
    with pytest.raises(SystemExit) as info:
        decode(*options, data=tmp_path, name="some")
    assert info.value.code == 1
    some = tmp_path / "some"
    for file in ("text", "token", "token_int"):
        assert read_text(some / "1best_recog" / file) == whole[file]
    reasons = read_text(some / "failed.scp")
    assert list(reasons) != broken and set(reasons) == set(broken)
    assert "NaN" in reasons["nan"]
    assert "too short" in reasons["short"]
    assert "out of memory" in reasons["long"]
    assert "no samples" in reasons["empty"]
    assert "text.wav" in reasons["text"]
    report = json.loads((some / "decode.json").read_text())
    assert (report["utterances"], report["failed"], report["translated"]) == (10, 6, 4)
    assert (report["batch_size"], report["settings"]["backend"]) == (4, "beam_search")
    assert report["seconds_of_audio"] == pytest.approx(14000 / 16000)
    assert "6 of 10 utterances failed" in caplog.text
    # the exit status is 0 if asked for, and they are tried again
    again = decode(*options, "--allow_missing=true", data=tmp_path, name="some")[0]
    assert again["text"] == whole["text"]
    assert read_text(some / "failed.scp") == reasons
    report = json.loads((some / "decode.json").read_text())
    assert (report["failed"], report["translated_before"]) == (6, 4)
    # They are mended. Nothing else is translated once more.
    for key in broken:
        soundfile.write(
            tmp_path / f"{key}.wav", soundfile.read(files["utt1"])[0], 16000
        )
    monkeypatch.undo()
    best = decode(*options, data=tmp_path, name="some")[0]
    assert best["text"] == {k: whole["text"].get(k, "ab") for k in table}
    assert not (some / "failed.scp").exists()
    report = json.loads((some / "decode.json").read_text())
    assert (report["translated_before"], report["translated"]) == (4, 6)


@pytest.mark.timeout(30)
def test_killed(decode, files, data, tmp_path, monkeypatch):
    """After kill -9 the utterances of finished parts are not translated again."""
    table = read_text(data / "wav.scp")
    table = {f"{k}-{i:02}": v for i in range(5) for k, v in table.items()}
    (tmp_path / "wav.scp").write_text("".join(f"{k} {v}\n" for k, v in table.items()))
    whole = decode("--beam_size=2", data=tmp_path, name="whole")[0]
    seen = []
    batch = Speech2Text.batch

    def count(self, speeches, tgt_langs):
        seen.append(len(speeches))
        if os.getpid() != parent and len(seen) == 11:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch(self, speeches, tgt_langs)

    monkeypatch.setattr(Speech2Text, "batch", count)
    parent = os.getpid()

    def victim():
        # The parent's threads are not in a fork.
        torch.set_num_threads(1)
        decode("--beam_size=2", data=tmp_path)

    child = multiprocessing.get_context("fork").Process(target=victim)
    child.start()
    child.join(9)
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / "decode" / "1best_recog").exists()
    # a part is 8 batches of one
    again = decode("--beam_size=2", data=tmp_path)[0]
    assert len(seen) == 20 - 8
    assert again == whole
    assert decode("--beam_size=2", data=tmp_path)[0] == whole
    assert len(seen) == 20 - 8
    # of other settings nothing was done
    decode("--beam_size=1", data=tmp_path)
    assert len(seen) == 20 - 8 + 20
    # nor by another model
    state = torch.load(files["st_model_file"])
    torch.save(state, tmp_path / "other.pth")
    files["st_model_file"] = f"{tmp_path}/other.pth"
    assert decode("--beam_size=2", data=tmp_path)[0]["text"] == whole["text"]
    assert len(seen) == 20 - 8 + 40


def test_target_languages(decode, exp, data, tmp_path):
    """en_XX is the only code of the list, but it can be asked for, or not be there."""
    default = decode("--beam_size=2")[0]
    named = decode("--beam_size=2", "--tgt_lang=en", name="named")[0]
    assert named["text"] == default["text"]
    (tmp_path / "wav.scp").write_text((data / "wav.scp").read_text())
    (tmp_path / "utt2tgt_lang").write_text("".join(f"{u} en\n" for u in UTTERANCES))
    found = decode("--beam_size=2", data=tmp_path, name="found")[0]
    assert found["text"] == default["text"]
    (tmp_path / "utt2tgt_lang").write_text("utt1 en\n")
    with pytest.raises(ValueError, match="has no target language of 3 of 4 utterances"):
        decode("--beam_size=2", data=tmp_path, name="some")
    (tmp_path / "utt2tgt_lang").write_text("".join(f"{u} de\n" for u in UTTERANCES))
    with pytest.raises(ValueError, match="language 'de'"):
        decode("--beam_size=2", data=tmp_path, name="none")
    assert not (tmp_path / "none").exists()


def test_in_pieces(decode, data, tmp_path):
    speech = np.concatenate([soundfile.read(f"{data}/utt2.wav")[0]] * 6)
    soundfile.write(tmp_path / "long.wav", speech, 16000)
    (tmp_path / "wav.scp").write_text(f"long {tmp_path}/long.wav\n")
    pieces = decode("--chunk_seconds=1", "--beam_size=2", data=tmp_path)[0]["text"]
    assert 1 <= pieces["long"].count(" ") <= 3


def test_other_decoders_go_to_espnet(tmp_path, data, monkeypatch):
    config = tmp_path / "config.yaml"
    config.write_text("decoder: transformer\n")
    seen = []
    monkeypatch.setattr(st_inference.host, "main", lambda cmd: seen.append(cmd))
    cmd = [f"--st_train_config={config}", f"--output_dir={tmp_path}/out"]
    cmd += [f"--data_path_and_name_and_type={data}/wav.scp,speech,sound"]
    cmd += ["--ctc_weight=0.3", "--batch_size=8"]
    # samu_st.sh says so to every decoder
    main([*cmd[:1], "--allow_missing", "true", *cmd[1:]])
    assert seen == [[*cmd, "--batch_size", "1"]]
    args = get_parser().parse_args(seen[0])
    assert (args.batch_size, args.ctc_weight) == (1, 0.3)
    # of an experiment that was moved
    config.write_text("decoder: rnn\nbpemodel: exp/st/tokenizer/bpe.model\n")
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "bpe.model").touch()
    main(cmd)
    args = get_parser().parse_args(seen[1])
    assert args.bpemodel == f"{tmp_path}/tokenizer/bpe.model"
