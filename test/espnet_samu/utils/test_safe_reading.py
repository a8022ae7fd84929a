"""Tests of espnet_samu.utils.safe_reading."""

import time

import pytest

from espnet_samu.checkpoint.pack import opened
from espnet_samu.corpora.audio import AudioFault, decode
from espnet_samu.text.vocabulary import read_bpemodel, read_token_list
from espnet_samu.utils import hub
from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.safe_reading import read_yaml
from espnet_samu.utils.state_dict import read_state_dict

LEVELS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi")
)
MERGED = LEVELS.replace("[x", "{x: 1").replace(", x", "").replace("]", "}", 1)
MERGED = MERGED.replace("[", "{<<: [").replace("]", "]}")


@pytest.mark.parametrize(
    "text, message",
    [
        (LEVELS, "aliases repeat more than 100000 values"),
        (MERGED, "aliases repeat more than 100000 values"),
        ("a: &a [*a]\n", r"alias \*a names nothing before it"),
        ("a: [*b]\n", r"alias \*b names nothing before it"),
        ("[" * 200_000, "more than 100 levels of nesting"),
        ("- " * 101, "more than 100 levels of nesting"),
        ("a: 2020-13-40\n", "month must be in 1..12"),
        (f"a: {'9' * 9999}\n", "Exceeds the limit"),
        ("a: !!python/object/apply:os.mkdir [x]\n", "could not determine a constr"),
    ],
    ids=str.split("lists merges cycle unknown flow block date digits object"),
)
def test_small_files_that_are_large(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    start = time.process_time()
    with pytest.raises(ValueError, match=f"c.yaml is not a YAML file: .*{message}"):
        read_yaml(tmp_path / "c.yaml")
    assert time.process_time() - start < 2


def test_aliases(tmp_path):
    (tmp_path / "c.yaml").write_text("a: &a {x: [1, 2]}\nb: *a\nc: {<<: *a, y: *a}\n")
    same = {"x": [1, 2]}
    expected = {"a": same, "b": same, "c": {**same, "y": same}}
    assert read_yaml(tmp_path / "c.yaml") == expected


def open_pack(path):
    with opened(path):
        pass


READERS = {
    "model.pth": read_state_dict,
    "config.yaml": read_yaml,
    "bpe.model": read_bpemodel,
    "tokens.txt": read_token_list,
    "text": read_text,
    "model.zip": open_pack,
    "model.safetensors": lambda path: hub.locate(str(path.parent)),
    "clip.flac": lambda path: next(decode(path)),
}


@pytest.mark.parametrize("name", READERS)
def test_pointers_of_git_lfs(tmp_path, name):
    """What a clone without git-lfs has in the place of a large file."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
    (tmp_path / name).write_text(pointer)
    with pytest.raises((ValueError, AudioFault)) as end:
        READERS[name](tmp_path / name)
    assert "only a pointer of git-lfs" in str(end.value)
    assert "; run: git lfs pull" in str(end.value)
