import numpy as np
import pytest

from espnet_samu.samplers.languages import find_category_file, read_languages

UTTERANCES = np.array([b"u1", b"u2", b"u3", b"u4"])


@pytest.mark.parametrize(
    "lines",
    [
        ["u1 fr", "u2 cy", "u3 fr", "u4 ca"],
        # another order; utterances and a language that are not trained on
        ["u0 zu", "u4 ca", "u2 cy", "u3 fr", "u1 fr", "u9 fr"],
    ],
)
def test_read(tmp_path, lines):
    path = tmp_path / "utt2lang"
    path.write_text("\n".join(lines))
    languages = read_languages(path, UTTERANCES)
    assert languages.names == ("ca", "cy", "fr")
    assert languages.codes.tolist() == [2, 1, 2, 0]
    assert languages.counts.tolist() == [1, 1, 2]


def test_missing(tmp_path):
    path = tmp_path / "utt2lang"
    path.write_text("u1 fr\nu9 cy\n")
    message = (
        "utt2lang: 3 of 4 training utterances have no language, e.g. u2, u3; add a "
        r"line .* \(speed-perturbed copies too\)"
    )
    with pytest.raises(ValueError, match=message):
        read_languages(path, UTTERANCES, n_examples=2)


def test_refused(tmp_path):
    path = tmp_path / "utt2lang"
    path.write_text("")
    with pytest.raises(ValueError, match="utt2lang: file is empty"):
        read_languages(path, UTTERANCES)
    path.write_text("u1 fr\nu2 fr\nu3 fr\nu4 cy\nu1 cy\n")
    with pytest.raises(ValueError, match="utt2lang: utterance 'u1' is there twice"):
        read_languages(path, UTTERANCES)


def test_find(tmp_path):
    message = "there is no utt2lang in '.*', .*; make it, lines 'utterance language'"
    with pytest.raises(FileNotFoundError, match=message):
        find_category_file(tmp_path)
    (tmp_path / "utt2lang").write_text("u1 fr\n")
    assert find_category_file(tmp_path) == tmp_path / "utt2lang"
    (tmp_path / "utt2category").write_text("u1 fr_en\n")
    assert find_category_file(tmp_path) == tmp_path / "utt2category"
