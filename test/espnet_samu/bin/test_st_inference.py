import numpy as np
import pytest
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

    def run(*args, name="decode"):
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


@pytest.mark.parametrize("option, value", [("ctc_weight", 0.3), ("penalty", 0.5)])
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


def test_refused(files, decode, st_cmd, tmp_path, capsys):
    with pytest.raises(ValueError, match="nbest 3 must be from 1 to beam_size 2"):
        Speech2Text(**files, beam_size=2, nbest=3)
    with pytest.raises(SystemExit):
        decode("--ngpu=2")
    assert "--ngpu 2: decoding uses one GPU a job" in capsys.readouterr().err
    conf = {"num_blocks": 1, "linear_units": 8}
    cmd = st_cmd(tmp_path, "--dry_run=true", decoder="transformer", decoder_conf=conf)
    STTask.main(cmd=cmd)
    with pytest.raises(ValueError, match="decoder 'transformer' is not mbart; use"):
        Speech2Text(tmp_path / "config.yaml")


def test_other_decoders_go_to_espnet(tmp_path, data, monkeypatch):
    config = tmp_path / "config.yaml"
    config.write_text("decoder: transformer\n")
    seen = []
    monkeypatch.setattr(st_inference.host, "main", lambda cmd: seen.append(cmd))
    cmd = [f"--st_train_config={config}", f"--output_dir={tmp_path}/out"]
    cmd += [f"--data_path_and_name_and_type={data}/wav.scp,speech,sound"]
    cmd += ["--ctc_weight=0.3", "--batch_size=8"]
    main(cmd)
    assert seen == [[*cmd, "--batch_size", "1"]]
    args = get_parser().parse_args(seen[0])
    assert (args.batch_size, args.ctc_weight) == (1, 0.3)
