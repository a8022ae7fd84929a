"""Tests of espnet_samu.teacher.cache."""

import hashlib
import json
import os
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from espnet_samu.bin import samu_select
from espnet_samu.teacher import cache
from espnet_samu.teacher.cache import (
    PartStore,
    check_teacher,
    check_vectors,
    unit_length,
)
from espnet_samu.utils.kaldi_io import (
    read_text,
    read_vectors,
    write_text,
    write_vectors,
)


def test_unit_length_by_hand():
    vectors = np.array([[3.0, 4.0], [0.0, -2.0]], dtype=np.float32)
    result = unit_length(vectors)
    np.testing.assert_allclose(result, [[0.6, 0.8], [0.0, -1.0]], atol=1e-7)
    assert result.dtype == np.float32
    check_vectors(vectors, ["a", "b"], "t")


@pytest.mark.parametrize(
    "value, what", [(np.nan, "not finite"), (np.inf, "not finite"), (0, "all zeros")]
)
def test_refused(value, what):
    vectors = np.array([[1.0, 1.0], [value, 0.0]])
    with pytest.raises(ValueError, match=f"'t': 1 of 2 .* {what}, .* that of 'b b'"):
        check_vectors(vectors, ["a", "b b"], "t")


def test_parts_belong_to_key_and_sentences(tmp_path):
    store = PartStore(tmp_path / "parts", {"teacher": "a", "revision": None})
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert ["x", "y"] not in store
    store.save(["x", "y"], vectors)
    assert ["x", "y"] in store
    np.testing.assert_array_equal(store.load(["x", "y"]), vectors)
    for other in (["y", "x"], ["x"], ["x", "z"], ["xy"]):
        assert other not in store
    other_teacher = PartStore(tmp_path / "parts", {"teacher": "b", "revision": None})
    assert ["x", "y"] not in other_teacher
    other_teacher.remove()
    assert ["x", "y"] not in store and not (tmp_path / "parts").exists()


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """Folder with text, exp/embed.{ark,scp,json}; the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("a one\n")
    write_vectors("exp", [("a", np.arange(3))])
    key = cache.teacher_key(["some/teacher"], ["main"], "concat", True, "float32")
    key |= cache.text_key("text")
    assert key["text_sha256"] == hashlib.sha256(b"a one\n").hexdigest()
    cache.write_cache("exp", {**key, "text": "text", **cache.describe_files("exp")})
    return tmp_path, key


def test_check_scp_takes_what_belongs_together(embedded):
    for scp in ("exp/embed.scp", embedded[0] / "exp" / "embed.scp"):
        for text in ("text", None):
            assert cache.check_scp(scp, text)["dtype"] == "float32"
    os.remove("text")  # nothing to compare with
    assert cache.check_scp("exp/embed.scp")


def test_check_scp_refuses_another_text(embedded):
    (embedded[0] / "text").write_text("a two\n")
    for text in ("text", None):
        with pytest.raises(ValueError, match="exp belong to another text: text_sha256"):
            cache.check_scp("exp/embed.scp", text)


def test_check_scp_refuses_other_files(embedded):
    ark = embedded[0] / "exp" / "embed.ark"
    content = ark.read_bytes()
    ark.write_bytes(content[:-1] + b"x")  # of the same size
    with pytest.raises(ValueError, match="embed.ark is not the one .*ark_ends_sha256"):
        cache.check_scp("exp/embed.scp")
    assert not cache.is_up_to_date("exp", embedded[1])
    ark.write_bytes(content + b"x")
    with pytest.raises(ValueError, match="embed.ark is not the one .*ark_bytes is"):
        cache.check_scp("exp/embed.scp")
    ark.unlink()
    with pytest.raises(ValueError, match="embed.ark is missing"):
        cache.check_scp("exp/embed.scp")
    ark.write_bytes(content)
    assert cache.check_scp("exp/embed.scp")
    (embedded[0] / "exp" / "part.scp").write_text("b exp/embed.ark:2\n")
    with pytest.raises(ValueError, match="embed.scp is not the one .*scp_sha256"):
        cache.check_scp("exp/part.scp")
    os.remove("exp/embed.json")
    with pytest.raises(ValueError, match="embed.json is missing or broken"):
        cache.check_scp("exp/embed.scp")


def test_large_ark_is_judged_by_its_ends(tmp_path):
    (tmp_path / "embed.scp").touch()
    content = bytearray(3 * 2**20)
    digests = []
    for position in (None, 0, 2**20 - 1, 2**20, 2 * 2**20 - 1, 2 * 2**20):
        changed = bytearray(content)
        if position is not None:
            changed[position] = 1
        (tmp_path / "embed.ark").write_bytes(changed)
        digests.append(cache.describe_files(tmp_path)["ark_ends_sha256"])
    seen = [digest != digests[0] for digest in digests]
    assert seen == [False, True, True, False, False, True]


def test_up_to_date_needs_files_and_the_same_key(embedded):
    key = embedded[1]
    assert cache.is_up_to_date("exp", key)
    assert not cache.is_up_to_date("exp", {**key, "dtype": "bfloat16"})
    assert not cache.is_up_to_date("exp", {**key, "unheard": None})
    os.remove("exp/embed.scp")
    assert not cache.is_up_to_date("exp", key)
    (embedded[0] / "exp" / "embed.json").write_text("{")
    assert not cache.is_up_to_date("exp", key)


def test_teacher_key_of_one_and_of_several(tmp_path):
    (tmp_path / "weights").write_text("1")
    folder = str(tmp_path)
    one = cache.teacher_key([folder], [None], "mean", True, "float32")
    assert one["combine"] is None  # has no effect
    assert one["teachers"] == [
        {"name": folder, "revision": None, "sha256": cache.hash_folder(folder)}
    ]
    two = cache.teacher_key([folder, "a/b"], [None, "v1"], "mean", True, "float32")
    assert two["combine"] == "mean"
    assert two["teachers"][1] == {"name": "a/b", "revision": "v1", "sha256": None}


def test_hash_folder_sees_contents_and_names(tmp_path):
    assert cache.hash_folder(tmp_path / "none") is None
    (tmp_path / "a").write_text("1")
    first = cache.hash_folder(tmp_path)
    (tmp_path / "a").write_text("2")
    second = cache.hash_folder(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, cache.hash_folder(tmp_path)}) == 3


@pytest.fixture
def training(tmp_path):
    """Arguments of a training on embeddings of two sets; E = 2."""
    paths = {}
    for name in ("train", "valid"):
        folder = tmp_path / name
        write_text(folder / "text", {"u1": f"hello {name}"})
        write_vectors(folder, [("u1", np.ones(2))])
        describe(folder, teacher="LaBSE")
        paths[name] = [
            (str(folder / "wav.scp"), "speech", "sound"),
            (str(folder / "embed.scp"), "embed", "kaldi_ark"),
        ]
    return Namespace(
        train_data_path_and_name_and_type=paths["train"],
        valid_data_path_and_name_and_type=paths["valid"],
        output_dir=str(tmp_path / "exp"),
        resume=True,
        dist_rank=None,
    )


def describe(folder, **changes):
    """Write embed.json as teacher_embed does, with changes."""
    key = cache.teacher_key(["LaBSE"], [None], "concat", True, "float32")
    text = folder / "text"
    table = {**key, **cache.text_key(text), "text": str(text), "dimension": 2}
    cache.write_cache(folder, {**table, **cache.describe_files(folder), **changes})


def test_one_teacher(training, tmp_path):
    check_teacher(training)
    saved = json.loads((tmp_path / "exp" / "teacher.json").read_text())
    assert saved["teachers"] == [{"name": "LaBSE", "revision": None, "sha256": None}]
    check_teacher(training)


def test_two_teachers(training, tmp_path):
    describe(tmp_path / "valid", teachers=[{"name": "SONAR"}])
    with pytest.raises(ValueError, match="of different teachers: teachers .*SONAR"):
        check_teacher(training)
    assert not (tmp_path / "exp").exists()


def test_resumed_with_another_teacher(training, tmp_path):
    check_teacher(training)
    for part in ("train", "valid"):
        describe(tmp_path / part, normalized=False)
    check_teacher(training)  # nothing has been trained yet
    (tmp_path / "exp" / "checkpoint.pth").touch()
    for part in ("train", "valid"):
        describe(tmp_path / part)
    message = "teacher.json are of .* normalized True and"
    with pytest.raises(ValueError, match=message):
        check_teacher(training)
    # killed while it wrote the next state
    (tmp_path / "exp" / "checkpoint.pth").unlink()
    (tmp_path / "exp" / "checkpoint.earlier.pth").write_bytes(b"state")
    with pytest.raises(ValueError, match=message):
        check_teacher(training)


def test_another_text(training, tmp_path):
    write_text(tmp_path / "train" / "text", {"u1": "good-bye"})
    with pytest.raises(ValueError, match="train belong to another text"):
        check_teacher(training)


def test_embeddings_from_elsewhere(training, tmp_path, caplog):
    for part in ("train", "valid"):
        (tmp_path / part / "embed.json").unlink()
    check_teacher(training)
    assert "no embed.json beside it" in caplog.text
    assert not (tmp_path / "exp").exists()


def test_hand_made_as_the_readme_says(training, tmp_path, monkeypatch, caplog):
    readme = Path(__file__).parents[3] / "egs2/TEMPLATE/samu_st1/README.md"
    section = readme.read_text(encoding="utf-8").partition("code of its own\n")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    files = {"wav.scp": "a.flac", "utt2num_samples": "1600", "utt2lang": "fr"}
    for name in ("train", "dev", "test"):
        dump = Path("dump/raw", name)
        for file, value in {**files, "text.tc.multi": f"bonjour {name}"}.items():
            write_text(dump / file, {"u1": value, "u2": value})
    model = Namespace(encode=lambda texts: np.array([[len(t), 1.0] for t in texts]))
    exec(code, {"model": model})
    vectors = read_vectors("exp/teacher_mine/train/embed.scp")
    assert {utt: vector.tolist() for utt, vector in vectors.items()} == (
        {"u1": [13, 1], "u2": [13, 1]}
    )
    words = "--data_dir dump/raw/train --source_dir dump/raw/train --output_dir stats "
    words += "--text dump/raw/train/text.tc.multi "
    samu_select.main(f"{words}--embed exp/teacher_mine/train/embed.scp".split())
    assert read_text("stats/speech_shape") == {"u1": "1600", "u2": "1600"}
    for part, name in (("train", "train"), ("valid", "dev")):
        embed = (f"exp/teacher_mine/{name}/embed.scp", "embed", "kaldi_ark")
        setattr(training, f"{part}_data_path_and_name_and_type", [embed])
    check_teacher(training)
    assert "exp/teacher_mine/dev/embed.scp: no embed.json beside it" in caplog.text
