from espnet_samu.decoding.hypothesis import Translation
from espnet_samu.decoding.result_store import ResultStore
from espnet_samu.decoding.results_writer import write_results
from espnet_samu.decoding.utterances import Utterance

UTTERANCES = [Utterance(key, key, None) for key in ("u9", "u1", "u5")]


def test_files(tmp_path):
    store = ResultStore(tmp_path / ".parts", {})
    store.save(
        {
            UTTERANCES[0]: [
                Translation("a b", ["a", "<space>", "b"], [2, 3, 4], -0.5),
                Translation("", [], [], -1.0),
            ],
            UTTERANCES[2]: [
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
