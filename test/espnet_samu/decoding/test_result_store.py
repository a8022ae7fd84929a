from espnet_samu.decoding.hypothesis import Translation
from espnet_samu.decoding.result_store import ResultStore
from espnet_samu.decoding.utterances import Utterance

ONE, TWO = Utterance("u1", "a.wav 3 5 de", "de"), Utterance(
    "u2", "b.wav 1 1 None", None
)
BEST = [Translation("ein Wörtchen\u2028", ["▁ein", "x"], [4, 0], -0.1 / 3)]


def test_found_again(tmp_path):
    store = ResultStore(tmp_path / ".parts", {"beam_size": 5})
    assert ONE not in store
    store.save({ONE: BEST})
    store.save({TWO: []})
    store.save({})
    again = ResultStore(tmp_path / ".parts", {"beam_size": 5})
    for some in (store, again):
        assert ONE in some and TWO in some
        # exactly, the score's last bit too
        assert some[ONE] == BEST and some[TWO] == []
        assert type(some[ONE][0]) is Translation
    assert len(list(store.folder.iterdir())) == 2


def test_not_found(tmp_path):
    ResultStore(tmp_path, {"beam_size": 5}).save({ONE: BEST})
    other = ResultStore(tmp_path, {"beam_size": 4})
    assert ONE not in other
    again = ResultStore(tmp_path, {"beam_size": 5})
    assert ONE._replace(source="a.wav 3 6 de") not in again
    assert ONE._replace(key="u3") not in again


def test_what_was_being_written_is_not_read(tmp_path):
    store = ResultStore(tmp_path, {})
    store.save({ONE: BEST})
    (store.folder / ".x.json.tmp123").write_text('[["u2"')
    assert ONE in ResultStore(tmp_path, {})
