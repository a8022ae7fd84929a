import numpy as np
import pytest
import torch

from espnet_samu.bin.samu_embed import get_parser, main
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.kaldi_io import read_text, read_vectors


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
    assert not list(tmp_path.iterdir())
    assert get_parser().description


def test_too_short_is_named(cmd, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "short.wav", np.zeros(50), 16000)
    (tmp_path / "wav.scp").write_text(f"brief {tmp_path}/short.wav\n")
    cmd += ["--wav_scp", f"{tmp_path}/wav.scp,sound", "--output_dir", f"{tmp_path}/a"]
    with pytest.raises(RuntimeError, match="utterances brief: .* 50 samples is too"):
        main(cmd)
    assert not (tmp_path / "a" / "embed.scp").exists()


@pytest.mark.parametrize(
    "samples, rate, num_workers, message",
    [
        ((3000,), 8000, "1", "utterance bad: .*bad.wav has 8000 Hz.*--fs 16k"),
        ((3000, 2), 16000, "0", r"utterance bad: .*\(3000, 2\); choose one channel"),
        ((0,), 16000, "0", "utterance bad: the waveform has no samples"),
    ],
)
def test_unusable_sound_is_named(
    samu_exp, data, tmp_path, samples, rate, num_workers, message
):
    import soundfile

    soundfile.write(tmp_path / "bad.wav", np.zeros(samples), rate)
    good = read_text(data / "wav.scp")["utt1"]
    (tmp_path / "wav.scp").write_text(f"good {good}\nbad {tmp_path}/bad.wav\n")
    cmd = ["--samu_model_file", f"{samu_exp}/1epoch.pth", "--num_workers", num_workers]
    cmd += ["--wav_scp", f"{tmp_path}/wav.scp,sound", "--output_dir", f"{tmp_path}/a"]
    with pytest.raises(ValueError, match=message):
        main(cmd)
    assert not list((tmp_path / "a").glob("embed.*"))


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
