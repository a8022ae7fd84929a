import hashlib
import json
import os
import signal
import subprocess
import sys

import kaldiio
import numpy as np
import pytest
import torch

from espnet_samu.bin.teacher_embed import TextEmbedder, get_parser, main
from espnet_samu.bin.teacher_train import build_model
from espnet_samu.teacher import cache
from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
from espnet_samu.teacher.sentence_encoder import SentenceEncoder
from espnet_samu.utils.kaldi_io import read_text, read_vectors

KEY = {"teachers": [{"name": "hash"}]}
FILES = ("embed.ark", "embed.scp", "embed.json")
# Twelve distinct sentences, of 1 to 12 words; one of them twice
LINES = {f"u{n}": " ".join(["w"] * (n % 12) + [str(n % 12)]) for n in range(13)}

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
    info = cache.check_scp("exp/a/embed.scp")
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
        cache.check_scp(out / "embed.scp")
    # While the files are replaced there is no description at all
    monkeypatch.setattr("espnet_samu.utils.kaldi_io.write_text", fail)
    with pytest.raises(RuntimeError, match="killed"):
        main(cmd)
    with pytest.raises(ValueError, match="missing or broken"):
        cache.check_scp(out / "embed.scp")


class HashEncoder(AbsSentenceEncoder):
    """Vectors from hashes; fails before its (limit + 1)-th batch."""

    dimension = 8
    commits = [None]
    prompts = [""]

    def truncated(self, texts):
        return {text: 11 for text in texts if len(text.split()) > 11}

    def __init__(self, limit=99, fail=None):
        self.seen = []
        self.left = limit
        self.fail = fail or RuntimeError("killed")

    def encode(self, texts, on_batch=None):
        if not self.left:
            if callable(self.fail):
                self.fail()
            raise self.fail
        self.left -= 1
        self.seen += texts
        digests = [hashlib.sha256(text.encode()).digest()[:8] for text in texts]
        # A batch's company shows in the bits, as it does in a real model
        return np.array([list(d) for d in digests], dtype=np.float32) + len(texts)


def kill_in_part(limit):
    """Run of this file as a program: embed `text`, kill -9 in one of the parts."""
    encoder = HashEncoder(limit, lambda: os.kill(os.getpid(), signal.SIGKILL))
    TextEmbedder(encoder, KEY, part_size=5).embed("text", "out")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("".join(f"{k} {v}\n" for k, v in LINES.items()))
    return tmp_path


@pytest.fixture
def expected(folder):
    """Contents of the files of a run without interruption."""
    encoder = HashEncoder()
    TextEmbedder(encoder, KEY, part_size=5).embed("text", "out")
    assert encoder.seen == sorted(set(LINES.values()), key=len, reverse=True)
    contents = {name: (folder / "out" / name).read_bytes() for name in FILES}
    for name in FILES:
        (folder / "out" / name).unlink()
    assert not list((folder / "out").iterdir())
    return contents


def check_resumed(folder, expected, encoded):
    encoder = HashEncoder()
    TextEmbedder(encoder, KEY, part_size=5).embed("text", "out")
    assert len(encoder.seen) == encoded
    for name in FILES:
        assert (folder / "out" / name).read_bytes() == expected[name]
    assert sorted(os.listdir("out")) == sorted(FILES)


@pytest.mark.parametrize("finished, encoded", [(0, 12), (1, 7), (2, 2)])
def test_resumes_after_a_failure(folder, expected, finished, encoded):
    with pytest.raises(RuntimeError, match="killed"):
        TextEmbedder(HashEncoder(finished), KEY, part_size=5).embed("text", "out")
    assert not (folder / "out" / "embed.json").exists()
    check_resumed(folder, expected, encoded)


def test_resumes_after_kill_9(folder, expected):
    run = subprocess.run([sys.executable, __file__, "2"], cwd=folder)
    assert run.returncode == -signal.SIGKILL
    assert len(list((folder / "out/.parts").glob("*/*.json"))) == 2
    check_resumed(folder, expected, encoded=2)


def test_resumes_after_a_kill_while_writing(folder, expected, monkeypatch):
    def fail(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as m:
        m.setattr("espnet_samu.bin.teacher_embed.write_vectors", fail)
        with pytest.raises(RuntimeError, match="killed"):
            TextEmbedder(HashEncoder(), KEY, part_size=5).embed("text", "out")
    check_resumed(folder, expected, encoded=0)


def test_parts_of_another_teacher_are_not_used(folder, expected):
    other = {"teachers": [{"name": "other"}]}
    with pytest.raises(RuntimeError, match="killed"):
        TextEmbedder(HashEncoder(2), other, part_size=5).embed("text", "out")
    check_resumed(folder, expected, encoded=12)


def test_texts_share_sentences(folder):
    (folder / "text2").write_text(f"v1 {LINES['u3']}\nv2 new\nv3 new\n")
    encoder = HashEncoder()
    embedder = TextEmbedder(encoder, KEY)
    embedder.embed("text", "out")
    embedder.embed("text2", "out2")
    assert encoder.seen[12:] == ["new"]
    vectors = read_vectors("out2/embed.scp")
    assert list(vectors) == ["v1", "v2", "v3"]
    np.testing.assert_array_equal(vectors["v1"], read_vectors("out/embed.scp")["u3"])
    assert "out/" not in (folder / "out2" / "embed.scp").read_text()

    # A later run takes them from the folder, unless the model is another commit
    for commits, seen in (([None], []), (["abc"], ["new", LINES["u3"]])):
        (folder / "text3").write_text(f"x {LINES['u3']}\ny new\n")
        encoder = HashEncoder()
        encoder.commits = commits
        embedder = TextEmbedder(encoder, KEY)
        embedder.reuse("text2", "out2")
        embedder.embed("text3", "out3")
        assert sorted(encoder.seen) == sorted(seen)


def test_description(folder):
    table = TextEmbedder(HashEncoder(), KEY).embed("text", "out")
    assert json.loads((folder / "out" / "embed.json").read_text()) == table
    assert table["teachers"] == KEY["teachers"]
    assert (table["dimension"], table["text"], table["commits"]) == (8, "text", [None])
    assert table["prompts"] == [""]
    # The sentence of 12 words.
    assert table["truncated"] == {"utterances": 1, "tokens": 11, "first": ["u11"]}
    assert (table["utterances"], table["distinct_texts"]) == (13, 12)
    assert set(table["versions"]) == set(cache.LIBRARIES)
    assert cache.check_scp("out/embed.scp") == table
    assert len(set(read_text("out/embed.scp").values())) == 12


def test_bar_on_a_terminal_and_lines_in_a_log(folder, caplog, monkeypatch, capfd):
    caplog.set_level("INFO")
    TextEmbedder(HashEncoder(), KEY, part_size=5).embed("text", "out")
    messages = [r.getMessage() for r in caplog.records]
    done = [m.partition(" sentences, ")[0] for m in messages]
    assert done == ["text: 5/12", "text: 10/12", "text: 12/12"]
    assert capfd.readouterr().err == ""
    caplog.clear()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    TextEmbedder(HashEncoder(), KEY, part_size=5).embed("text", "out")
    assert not caplog.records


def test_part_size(folder):
    with pytest.raises(ValueError, match="part_size must be at least 1: 0"):
        TextEmbedder(HashEncoder(), KEY, part_size=0)


if __name__ == "__main__":
    kill_in_part(int(sys.argv[1]))
