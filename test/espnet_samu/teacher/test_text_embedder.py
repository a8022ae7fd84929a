import hashlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from espnet_samu.teacher import cache
from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
from espnet_samu.teacher.text_embedder import TextEmbedder
from espnet_samu.utils.kaldi_io import read_text, read_vectors

KEY = {"teachers": [{"name": "hash"}]}
FILES = ("embed.ark", "embed.scp", "embed.json")
# Twelve distinct sentences, of 1 to 12 words; one of them twice
LINES = {f"u{n}": " ".join(["w"] * (n % 12) + [str(n % 12)]) for n in range(13)}


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
        m.setattr("espnet_samu.teacher.text_embedder.write_vectors", fail)
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
