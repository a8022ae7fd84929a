from espnet_samu.scoring.directions import Direction, split_directions


def test_one_target():
    langs = {"b": "fr", "a": "es", "c": "es", "d": "de"}
    directions = split_directions("bac", langs, dict.fromkeys(langs, "en"))
    assert directions == {
        "es": Direction("es", "es", "en", ("a", "c")),
        "fr": Direction("fr", "fr", "en", ("b",)),
    }


def test_several_targets():
    langs = dict.fromkeys("abc", "en")
    targets = {"a": "zh-CN", "b": "de", "c": "zh-CN"}
    directions = split_directions("cba", langs, targets)
    assert [*directions] == ["en-de", "en-zh-CN"]
    assert directions["en-zh-CN"].utterances == ("c", "a")
