import numpy as np
import pytest
import soundfile
import torch

from espnet_samu.bin.samu_embed import get_parser, main
from espnet_samu.speech2embedding import Speech2Embedding
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.kaldi_io import read_text, read_vectors, write_text


@pytest.fixture
def cmd(samu_exp):
    model_file = f"{samu_exp}/1epoch.pth"
    return ["--samu_model_file", model_file, "--num_workers", "0"]


@pytest.mark.parametrize("batch_size", ["1", "3"])
def test_equals_the_model(cmd, samu_exp, data, batch, tmp_path, batch_size):
    wavs = read_text(data / "wav.scp")
    (tmp_path / "two.scp").write_text(f"b {wavs['utt2']}\na {wavs['utt1']}\n")
    cmd += ["--batch_size", batch_size]
    cmd += ["--wav_scp", f"{data}/wav.scp,sound", "--output_dir", f"{tmp_path}/all"]
    cmd += ["--wav_scp", f"{tmp_path}/two.scp", "--output_dir", f"{tmp_path}/two"]
    main(cmd)

    model, _ = SAMUTask.build_model_from_file(None, samu_exp / "1epoch.pth")
    model.eval()
    vectors = read_vectors(tmp_path / "all" / "embed.scp")
    assert list(vectors) == ["utt1", "utt2", "utt3", "utt4"]
    for i, vector in enumerate(vectors.values()):
        n = batch[1][i]
        with torch.no_grad():
            alone = model.embed(batch[0][i : i + 1, :n], batch[1][i : i + 1])
        np.testing.assert_allclose(vector, alone.embedding[0], rtol=0, atol=1e-5)
    two = read_vectors(tmp_path / "two" / "embed.scp")
    assert list(two) == ["b", "a"]
    np.testing.assert_allclose(two["a"], vectors["utt1"], rtol=0, atol=1e-5)


def test_refused(cmd, data, tmp_path, capsys):
    cmd += ["--wav_scp", f"{data}/wav.scp,sound", "--output_dir", f"{tmp_path}/a"]
    with pytest.raises(SystemExit) as info:
        main([*cmd, "--output_dir", f"{tmp_path}/b"])
    assert info.value.code == 2
    assert "1 --wav_scp, but 2 --output_dir" in capsys.readouterr().err
    for options, message in (
        (["--batch_size", "0"], "--batch_size 0 must be 1 or more"),
        (cmd[-4:], f"--output_dir: {tmp_path}/a, {tmp_path}/a are not distinct"),
    ):
        with pytest.raises(SystemExit):
            main([*cmd, *options])
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert get_parser().description


@pytest.mark.parametrize("num_workers", ["0", "1"])
def test_broken_utterances(cmd, data, tmp_path, caplog, num_workers):
    """They are named, the others are embedded, the command fails."""
    rng = np.random.default_rng(0)
    waves = {
        "short": (np.zeros(50), 16000),
        "slow": (np.zeros(3000), 8000),
        "stereo": (np.zeros((3000, 2)), 16000),
        "empty": (np.zeros(0), 16000),
        "nan": (np.full(3000, np.nan), 16000),
        "loud": (rng.normal(size=3000) * 1e30, 16000),
        "cut": (rng.normal(0, 0.1, 16000), 16000),
    }
    files = {
        key: tmp_path / f"{key}.{'wav' if key != 'cut' else 'flac'}" for key in waves
    }
    for key, (wave, rate) in waves.items():
        subtype = "FLOAT" if key in ("nan", "loud") else "PCM_16"
        soundfile.write(files[key], wave, rate, subtype)
    files["cut"].write_bytes(files["cut"].read_bytes()[:9000])
    files["missing"] = tmp_path / "missing.wav"
    good = read_text(data / "wav.scp")
    write_text(tmp_path / "wav.scp", {k: f"{v}" for k, v in (files | good).items()})
    options = ["--wav_scp", f"{data}/wav.scp,sound", "--output_dir", f"{tmp_path}/good"]
    options += [
        "--wav_scp",
        f"{tmp_path}/wav.scp,sound",
        "--output_dir",
        f"{tmp_path}/a",
    ]
    options += ["--batch_size", "3", "--num_workers", num_workers]
    with pytest.raises(SystemExit) as info:
        main([*cmd, *options])
    assert info.value.code == 1
    expected, found = (read_vectors(tmp_path / d / "embed.scp") for d in ("good", "a"))
    assert list(found) == list(expected) == list(good)
    for key, vector in found.items():
        np.testing.assert_allclose(vector, expected[key], rtol=0, atol=1e-5)
    assert not (tmp_path / "good" / "failed.scp").exists()
    reasons = read_text(tmp_path / "a" / "failed.scp")
    assert reasons.keys() == files.keys()
    assert reasons["short"] == "50 samples are too short for a frame of wav2vec2"
    assert "slow.wav has 8000 Hz, but" in reasons["slow"]
    assert "(3000, 2); choose one channel" in reasons["stereo"]
    assert "the waveform has no samples" in reasons["empty"]
    assert "3000 of 3000 samples are NaN" in reasons["nan"]
    assert "divide samples of 16 bits by 32768" in reasons["loud"]
    assert "Error" in reasons["cut"] and "missing.wav" in reasons["missing"]
    assert "8 of 12 utterances failed, see" in caplog.text

    # They are mended.
    write_text(tmp_path / "wav.scp", good)
    main([*cmd, *options])
    assert not (tmp_path / "a" / "failed.scp").exists()


def test_nothing_is_left(cmd, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(50), 16000)
    write_text(tmp_path / "wav.scp", {"brief": f"{tmp_path}/short.wav"})
    cmd += ["--wav_scp", f"{tmp_path}/wav.scp,sound", "--output_dir", f"{tmp_path}/a"]
    main([*cmd, "--allow_missing", "true"])
    assert (tmp_path / "a" / "embed.scp").read_text() == ""
    assert list(read_text(tmp_path / "a" / "failed.scp")) == ["brief"]


def test_model_tag(samu_exp, cmd, data, tmp_path, capsys):
    from espnet_samu.checkpoint.export import export

    export(None, samu_exp / "1epoch.pth", tmp_path / "out")
    scp = ["--wav_scp", f"{data}/wav.scp,sound", "--output_dir"]
    main([*cmd, *scp, f"{tmp_path}/a"])
    tag = ["--model_tag", f"{tmp_path}/out", "--num_workers", "0"]
    main([*tag, *scp, f"{tmp_path}/b"])
    a, b = (read_vectors(tmp_path / name / "embed.scp") for name in "ab")
    assert list(a) == list(b)
    for key in a:
        np.testing.assert_allclose(a[key], b[key], rtol=0, atol=1e-6)
    with pytest.raises(SystemExit):
        main([*tag, "--samu_train_config", "x.yaml", *scp, f"{tmp_path}/c"])
    assert "belongs to --samu_model_file" in capsys.readouterr().err


def test_a_killed_run_goes_on(cmd, data, samu_exp, tmp_path, monkeypatch):
    """What was embedded before is not embedded again; the files are the same."""
    seen = []

    def killed(self, speeches):
        seen.append(len(speeches))
        if sum(seen) == 4:
            raise KeyboardInterrupt
        return batch(self, speeches)

    batch = Speech2Embedding.batch
    monkeypatch.setattr(Speech2Embedding, "batch", killed)
    monkeypatch.setattr("espnet_samu.decoding.batch_decoder._WINDOW", 1)
    cmd += ["--batch_size", "1", "--wav_scp", f"{data}/wav.scp,sound", "--output_dir"]
    with pytest.raises(KeyboardInterrupt):
        main([*cmd, f"{tmp_path}/a"])
    assert not (tmp_path / "a" / "embed.scp").exists()
    main([*cmd, f"{tmp_path}/a"])
    main([*cmd, f"{tmp_path}/b"])
    assert len(seen) == 4 + 1 + 4
    ark = [(tmp_path / folder / "embed.ark").read_bytes() for folder in "ab"]
    assert ark[0] == ark[1]
    assert sorted(f.name for f in (tmp_path / "a").iterdir()) == [
        "embed.ark",
        "embed.scp",
    ]
