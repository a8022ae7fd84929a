"""Tests of espnet_samu.bin.demo, without Gradio."""

import sys

import numpy as np
import pytest
import soundfile

from espnet_samu.bin import demo
from espnet_samu.bin.demo import Sentences, Translator
from espnet_samu.speech2embedding import Speech2Embedding
from espnet_samu.speech2text import Speech2Text


@pytest.fixture(scope="module")
def speech2text(st_exp):
    """A random model of one update, into English alone."""
    return Speech2Text(st_model_file=st_exp / "1epoch.pth", beam_size=2, maxlenratio=-5)


@pytest.fixture
def recording(tmp_path):
    """Half a second of noise, two channels at 8 kHz, and what the models read of it."""
    noise = np.random.default_rng(0).normal(0, 0.1, (4000, 2))
    soundfile.write(tmp_path / "stereo.wav", noise, 8000)
    samples = demo.read_speech(tmp_path / "stereo.wav")
    assert len(samples) == 8000
    return str(tmp_path / "stereo.wav"), samples


class Teacher:
    """Two directions of the student's space of four."""

    name = "two"
    dimension = 4
    vectors = {"first": [1, 0, 0, 0], "second": [0, 1, 0, 0], "none": [0, 0, 0, 0]}

    def encode(self, texts):
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)


@pytest.fixture
def student(samu_exp):
    """A random student."""
    return Speech2Embedding(samu_model_file=samu_exp / "1epoch.pth")


def test_translation(speech2text, recording):
    path, speech = recording
    best = speech2text(speech)[0]
    text, score, nearest = Translator(speech2text).translate(path)
    assert text == best.text and nearest == []
    assert score == f"log-probability {best.score:.2f}"
    with pytest.raises(ValueError, match="Record something or choose a file first"):
        Translator(speech2text).translate(None)


def test_what_is_no_sound(speech2text, tmp_path):
    (tmp_path / "a.wav").write_text("text")
    with pytest.raises(ValueError, match="undecodable audio"):
        Translator(speech2text).translate(str(tmp_path / "a.wav"))


def test_nearest_sentences(speech2text, student, recording):
    path, speech = recording
    vector = student(speech).numpy()
    texts = ["none", "second", "first"]
    sentences = Sentences(student, Teacher(), texts)
    nearest = Translator(speech2text, sentences).translate(path)[2]
    cosines = {"first": vector[0], "second": vector[1], "none": 0.0}
    expected = sorted(texts, key=lambda text: -cosines[text])
    assert [text for text, _ in nearest] == expected
    assert [c for _, c in nearest] == pytest.approx([cosines[t] for t in expected])


def test_teacher_of_another_space(student):
    teacher = Teacher()
    teacher.dimension = 768
    with pytest.raises(ValueError, match="--student has embeddings of 4 numbers, --te"):
        Sentences(student, teacher, ["first"])


def test_without_gradio(speech2text, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ImportError, match=r"run: pip install 'espnet_samu\[demo\]'"):
        demo.build_page(Translator(speech2text))


def test_options(capsys, tmp_path, st_exp, samu_exp):
    with pytest.raises(SystemExit):
        demo.main(["--model", "x.zip", "--student", "y.zip"])
    assert "nearest sentences need --teacher and --sentences, too" in (
        capsys.readouterr().err
    )
    (tmp_path / "empty.txt").write_text("\n \n")
    words = f"--model {st_exp}/1epoch.pth --student {samu_exp}/1epoch.pth --teacher x"
    with pytest.raises(ValueError, match="empty.txt: the file has no sentence"):
        demo.main([*words.split(), "--sentences", f"{tmp_path}/empty.txt"])
