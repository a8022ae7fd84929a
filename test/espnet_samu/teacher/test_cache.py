"""Tests of espnet_samu.teacher.cache."""

import hashlib
import os

import numpy as np
import pytest

from espnet_samu.teacher import cache
from espnet_samu.teacher.cache import (
    check_vectors,
    unit_length,
)
from espnet_samu.utils.kaldi_io import (
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
        assert cache.check_scp(scp)["dtype"] == "float32"
    os.remove("text")  # nothing to compare with
    assert cache.check_scp("exp/embed.scp")


def test_check_scp_refuses_another_text(embedded):
    (embedded[0] / "text").write_text("a two\n")
    with pytest.raises(ValueError, match="exp belong to another text: text_sha256"):
        cache.check_scp("exp/embed.scp")


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
