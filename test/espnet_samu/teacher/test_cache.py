import hashlib

import pytest

from espnet_samu.teacher import cache


def test_check_cache(tmp_path):
    text = tmp_path / "text"
    text.write_text("a one\n")
    with pytest.raises(ValueError, match="embed.json is missing"):
        cache.check_cache(tmp_path, text)
    key = cache.cache_key("some/teacher", None, True, text, None)
    assert key["text_sha256"] == hashlib.sha256(b"a one\n").hexdigest()
    cache.write_cache(tmp_path, {**key, "dimension": 3})
    assert cache.check_cache(tmp_path, text)["dimension"] == 3
    text.write_text("a two\n")
    with pytest.raises(ValueError, match="belong to another text: text_sha256"):
        cache.check_cache(tmp_path, text)


def test_up_to_date_needs_files_and_the_same_key(tmp_path):
    text = tmp_path / "text"
    text.write_text("a one\n")
    key = cache.cache_key("some/teacher", "main", True, text, None)
    cache.write_cache(tmp_path, {**key, "dimension": 3})
    assert not cache.is_up_to_date(tmp_path, key)
    for name in ("embed.ark", "embed.scp"):
        (tmp_path / name).touch()
    assert cache.is_up_to_date(tmp_path, key)
    assert not cache.is_up_to_date(tmp_path, {**key, "revision": None})
    (tmp_path / cache.CACHE_FILE).write_text("{")
    assert not cache.is_up_to_date(tmp_path, key)


def test_hash_folder_sees_contents_and_names(tmp_path):
    assert cache.hash_folder(tmp_path / "none") is None
    (tmp_path / "a").write_text("1")
    first = cache.hash_folder(tmp_path)
    (tmp_path / "a").write_text("2")
    second = cache.hash_folder(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, cache.hash_folder(tmp_path)}) == 3
