import json
import subprocess
import sys

import kaldiio
import numpy as np
import pytest
import torch

from espnet_samu.bin.teacher_embed import get_parser, main
from espnet_samu.teacher import cache
from espnet_samu.teacher.sentence_encoder import SentenceEncoder
from espnet_samu.teacher.small_model import build_model

TEXT = "u3 one two\nu1 uno dos\nu2 one two\n"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Folder of an untrained model, D = 8, torch seed 0."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("teacher")
    build_model(["uno dos", "one two"], dim=8).save(str(folder))
    return str(folder)


def test_prompt_and_truncation(teacher, tmp_path, capsys):
    long = "one two " * 70
    (tmp_path / "a").write_text(f"u1 {long}\nu2 uno dos\nu3 {long}\n")
    cmd = ["--teacher", teacher, "--device", "cpu", "--text", f"{tmp_path}/a"]
    cmd += ["--output_dir", f"{tmp_path}/out"]
    main(cmd)
    printed = (
        f"{tmp_path}/out: 3 utterances, 2 distinct texts\n{tmp_path}/out: 2 texts "
    )
    printed += "are cut off at 128 tokens, the most that the teacher reads: u1 u3\n"
    assert capsys.readouterr().out == printed
    plain = kaldiio.load_scp(f"{tmp_path}/out/embed.scp")["u2"]
    info = cache.read_cache(tmp_path / "out")
    assert info["truncated"] == {"utterances": 2, "tokens": 128, "first": ["u1", "u3"]}
    assert (info["prompts"], "prompt" in info["teachers"][0]) == ([""], False)
    main([*cmd, "--prompt", "two "])
    prompted = kaldiio.load_scp(f"{tmp_path}/out/embed.scp")["u2"]
    assert np.abs(prompted - plain).max() > 0.01
    info = cache.read_cache(tmp_path / "out")
    assert (info["prompts"], info["teachers"][0]["prompt"]) == (["two "], "two ")
    capsys.readouterr()
    main([*cmd, "--prompt", "two "])
    assert capsys.readouterr().out == f"{tmp_path}/out: up to date\n"
    with pytest.raises(ValueError, match=r"--prompt \(2 times\) must come once, or"):
        main([*cmd, "--prompt", "two ", "--prompt", ""])


def test_embeds_and_is_up_to_date(teacher, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text(TEXT)
    (tmp_path / "b").write_text("u9 dos\n")
    cmd = ["--teacher", teacher, "--device", "cpu", "--text", "a", "--output_dir"]
    cmd += ["exp/a", "--text", "b", "--output_dir", "exp/b"]
    main(cmd)
    vectors = kaldiio.load_scp("exp/a/embed.scp")
    assert list(vectors) == ["u3", "u1", "u2"]
    expected = SentenceEncoder(teacher, device="cpu").encode(["one two", "uno dos"])
    for utt, row in (("u3", 0), ("u1", 1), ("u2", 0)):
        assert vectors[utt].dtype == np.float32
        np.testing.assert_allclose(vectors[utt], expected[row], atol=1e-6)
    places = dict(line.split() for line in open("exp/a/embed.scp"))
    assert places["u3"] == places["u2"] != places["u1"]
    assert places["u3"].startswith("exp/a/embed.ark:")
    info = cache.check_scp("exp/a/embed.scp", "a")
    assert (info["dimension"], info["utterances"], info["distinct_texts"]) == (8, 3, 2)
    fingerprint = cache.hash_folder(teacher)
    assert info["teachers"] == [
        {"name": teacher, "revision": None, "sha256": fingerprint}
    ]
    assert (info["commits"], info["normalized"]) == ([None], True)
    assert len(kaldiio.load_scp("exp/b/embed.scp")) == 1

    capsys.readouterr()
    main(cmd)
    assert capsys.readouterr().out == "exp/a: up to date\nexp/b: up to date\n"
    assert info["truncated"] == {"utterances": 0, "tokens": None, "first": []}
    (tmp_path / "a").write_text(TEXT.replace("uno", "dos"))
    main(cmd)
    assert capsys.readouterr().out == (
        "exp/b: up to date\nexp/a: 3 utterances, 2 distinct texts\n"
    )


def test_up_to_date_needs_no_torch(tmp_path):
    text = tmp_path / "text"
    text.write_text(TEXT)
    for name in ("embed.ark", "embed.scp"):
        (tmp_path / name).touch()
    key = cache.teacher_key(["hub/x"], [None], "concat", True, "float32")
    description = {**cache.text_key(text), **cache.describe_files(tmp_path)}
    cache.write_cache(tmp_path, {**key, **description})
    code = (
        "import sys; from espnet_samu.bin import teacher_embed, teacher_train\n"
        "teacher_embed.main(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    cmd = ["--teacher", "hub/x", "--text", str(text), "--output_dir", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-c", code, *cmd], stdout=subprocess.PIPE, check=True
    )
    assert run.stdout.decode() == f"{tmp_path}: up to date\n"


def test_refused(tmp_path):
    text = tmp_path / "text"
    text.write_text("u1 one\nu2\n")
    cmd = ["--text", str(text), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="text:2: id 'u2' has no value"):
        main(cmd)
    with pytest.raises(ValueError, match=r"--text \(2 times\) and --output_dir \(1"):
        main([*cmd, "--text", "x"])
    with pytest.raises(ValueError, match="--output_dir must be distinct"):
        main(cmd + cmd)
    with pytest.raises(ValueError, match=r"--revision \(2 times\) must come once"):
        main([*cmd, "--teacher", "x", "--revision", "a", "--revision", "none"])
    text.write_bytes(b"u1 one\nu2 \xff\n")
    with pytest.raises(ValueError, match="text:2: not UTF-8"):
        main(cmd)
    text.write_text("u1 one\n")
    with pytest.raises(ConnectionError, match="teacher no/such: no such folder"):
        main([*cmd, "--teacher", "no/such"])
    assert not (tmp_path / "out").exists()
    assert get_parser().description


def test_several_teachers(teacher, tmp_path, capsys):
    text, other = tmp_path / "text", tmp_path / "other"
    text.write_text(TEXT)
    torch.manual_seed(1)
    build_model(["uno dos", "one two"], dim=4).save(str(other))
    cmd = ["--teacher", teacher, "--teacher", str(other), "--device", "cpu"]
    cmd += ["--text", str(text), "--output_dir", str(tmp_path / "out")]
    main(cmd)
    vectors = kaldiio.load_scp(str(tmp_path / "out" / "embed.scp"))
    parts = [SentenceEncoder(t, device="cpu") for t in (teacher, str(other))]
    expected = np.concatenate([p.encode(["uno dos"])[0] for p in parts])
    np.testing.assert_allclose(vectors["u1"], expected / np.sqrt(2), atol=1e-6)
    capsys.readouterr()
    main(cmd)
    assert capsys.readouterr().out.endswith("out: up to date\n")
    with pytest.raises(ValueError, match=r"'mean' needs embeddings of one size, not"):
        main([*cmd, "--combine", "mean"])


def test_a_failure_leaves_no_false_cache_behind(teacher, tmp_path, monkeypatch):
    text, out = tmp_path / "text", tmp_path / "out"
    cmd = ["--teacher", teacher, "--device", "cpu"]
    cmd += ["--text", str(text), "--output_dir", str(out)]
    text.write_text(TEXT)
    main(cmd)
    before = json.loads((out / "embed.json").read_text())
    assert before["text_sha256"]

    def fail(*_):
        raise RuntimeError("killed")

    text.write_text("u1 dos\n")
    with monkeypatch.context() as m:
        m.setattr(SentenceEncoder, "encode", fail)
        with pytest.raises(RuntimeError, match="killed"):
            main(cmd)
    with pytest.raises(ValueError, match="belong to another text"):
        cache.check_scp(out / "embed.scp", text)
    # While the files are replaced there is no description at all
    monkeypatch.setattr("espnet_samu.utils.kaldi_io.write_text", fail)
    with pytest.raises(RuntimeError, match="killed"):
        main(cmd)
    with pytest.raises(ValueError, match="missing or broken"):
        cache.check_scp(out / "embed.scp", text)
