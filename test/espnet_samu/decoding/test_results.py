"""Tests of espnet_samu.decoding.results."""

from espnet_samu.decoding.results import translation_store, write_results
from espnet_samu.decoding.search import Translation
from espnet_samu.decoding.utterances import Utterance

ONE, TWO = Utterance("u1", "a.wav 3 5 de", "de"), Utterance(
    "u2", "b.wav 1 1 None", None
)
BEST = [Translation("ein Wörtchen\u2028", ["▁ein", "x"], [4, 0], -0.1 / 3)]


def test_found_again(tmp_path):
    store = translation_store(tmp_path / ".parts", {"beam_size": 5})
    assert ONE.identity not in store
    store.save({ONE.identity: BEST})
    store.save({TWO.identity: []})
    store.save({})
    again = translation_store(tmp_path / ".parts", {"beam_size": 5})
    for some in (store, again):
        assert ONE.identity in some and TWO.identity in some
        # exactly, the score's last bit too
        assert some[ONE.identity] == BEST and some[TWO.identity] == []
        assert type(some[ONE.identity][0]) is Translation
    assert len(list(store.folder.iterdir())) == 2


def test_not_found(tmp_path):
    translation_store(tmp_path, {"beam_size": 5}).save({ONE.identity: BEST})
    other = translation_store(tmp_path, {"beam_size": 4})
    assert ONE.identity not in other
    again = translation_store(tmp_path, {"beam_size": 5})
    assert ONE._replace(source="a.wav 3 6 de").identity not in again
    assert ONE._replace(key="u3").identity not in again


def test_what_was_being_written_is_not_read(tmp_path):
    store = translation_store(tmp_path, {})
    store.save({ONE.identity: BEST})
    (store.folder / ".x.json.tmp123").write_text('[["u2"')
    assert ONE.identity in translation_store(tmp_path, {})


UTTERANCES = [Utterance(key, key, None) for key in ("u9", "u1", "u5")]


def test_files(tmp_path):
    store = translation_store(tmp_path / ".parts", {})
    store.save(
        {
            UTTERANCES[0].identity: [
                Translation("a b", ["a", "<space>", "b"], [2, 3, 4], -0.5),
                Translation("", [], [], -1.0),
            ],
            UTTERANCES[2].identity: [
                Translation("c", ["c"], [5], -0.25),
                Translation("d", ["d"], [6], -2.0),
            ],
        }
    )
    for n in (3, 4):
        (tmp_path / f"{n}best_recog").mkdir()
    write_results(tmp_path, UTTERANCES, store, {"u1": "too short"}, nbest=2)

    def read(n, name):
        return (tmp_path / f"{n}best_recog" / name).read_text()

    assert read(1, "text") == "u9 a b\nu5 c\n"
    assert read(1, "token") == "u9 a <space> b\nu5 c\n"
    assert read(1, "token_int") == "u9 2 3 4\nu5 5\n"
    assert read(1, "score") == "u9 -0.5\nu5 -0.25\n"
    assert read(2, "text") == "u9\nu5 d\n"
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        ".parts",
        "1best_recog",
        "2best_recog",
        "failed.scp",
    ]
    assert (tmp_path / "failed.scp").read_text() == "u1 too short\n"
    write_results(tmp_path, UTTERANCES[2:], store, {}, nbest=1)
    assert read(1, "text") == "u5 c\n"
    assert not (tmp_path / "failed.scp").exists()
    assert not (tmp_path / "2best_recog").exists()
