import pytest

from espnet_samu.report.published import PublishedSystem, read_published

CONTENT = "# from papers\nsystem\tfr\tzh-CN\thigh\nA\t30.5\t-\t30.6\n\nB\t\t4\t-\n"


def test_read(tmp_path):
    path = tmp_path / "published.tsv"
    path.write_text(CONTENT)
    a, b = read_published(path)
    assert (a.name, a.scores) == ("A", {"fr": 30.5, "high": 30.6})
    assert (b.name, b.scores) == ("B", {"zh-CN": 4.0})
    assert a.columns == b.columns == ("fr", "zh-CN", "high")


@pytest.mark.parametrize(
    "content, message",
    [
        ("name\tfr\n", ":1: first line must be `system`"),
        ("system\n", ":1: first line must be"),
        ("system\tfr\tfr\n", ":1: .* different languages"),
        ("system\tfr\nA\t1\t2\n", ":2: need 2 columns: 3"),
        ("system\tfr\nA\t1\nA\t2\n", ":3: need a system's name, once: 'A'"),
        ("system\tfr\nA\tx\n", ":2: fr must be a number or -: 'x'"),
        ("system\tfr\n", ": no system"),
    ],
)
def test_refused(tmp_path, content, message):
    path = tmp_path / "published.tsv"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"published.tsv{message}"):
        read_published(path)


def test_regions():
    system = PublishedSystem("A", {"zh": 1.0, "sv-SE": 2.0, "en-de": 3.0, "en-fr": 4.0})
    found = [system.find(key) for key in ("zh-CN", "sv", "en-de", "en_XX-fr", "en")]
    assert found == [1.0, 2.0, 3.0, 4.0, None]


def test_directions_into_one_language():
    scores = {"fr-en": 1.0, "sv-SE-en": 2.0, "high": 3.0}
    system = PublishedSystem("A", scores, ("fr-en", "sv-SE-en", "de-en", "high"))
    keys = ("fr", "sv", "sv-en", "de", "high", "fr-de", "en")
    assert [system.find(k) for k in keys] == [1.0, 2.0, 2.0, None, 3.0, None, None]
    # Into several languages a source language says too little.
    assert PublishedSystem("B", {"en-de": 1.0}, ("en-de", "en-tr")).find("en") is None


def test_means_over_the_same_languages():
    system = PublishedSystem("A", {"fr": 10.0, "de": 21.0, "high": 15.6})
    # As published where our group is whole, else made of the same languages
    assert system.mean("high", ["fr", "de"], whole=True) == 15.6
    assert system.mean("high", ["fr", "de"], whole=False) == 15.5
    assert system.mean("high", ["fr"], whole=False) == 10.0
    assert system.mean("high", ["fr", "es"], whole=False) is None
    assert system.mean("low", ["fr", "de"], whole=True) == 15.5
