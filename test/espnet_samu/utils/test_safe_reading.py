"""Tests of espnet_samu.utils.safe_reading."""

import time

import pytest

from espnet_samu.utils.safe_reading import read_yaml

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
