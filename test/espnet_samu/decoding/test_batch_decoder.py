"""Tests of espnet_samu.decoding.batch_decoder."""

import pytest
import torch

from espnet_samu.decoding.batch_decoder import Run, translation_store, write_results
from espnet_samu.decoding.search import Translation
from espnet_samu.decoding.utterances import Reading, Utterance

ONE, TWO = Utterance("u1", "a.wav 3 5 de", "de"), Utterance(
    "u2", "b.wav 1 1 None", None
)
BEST = [Translation("ein Wörtchen\u2028", ["▁ein", "x"], [4, 0], -0.1 / 3)]

# Samples of each; 0: cannot be read, 13: cannot be translated.
LENGTHS = [3, 13, 5, 0, 4, 9, 13, 2]
UTTERANCES = [Utterance(f"u{i}", f"s{i}", "de") for i in range(len(LENGTHS))]


def make_reader(utterances):
    """What UtteranceReader makes, in one list."""

    def reading(utterance):
        n = LENGTHS[int(utterance.key[1:])]
        if n == 0:
            return Reading(utterance, None, "no sound")
        return Reading(utterance, torch.full((n,), 1.0), "")

    return [reading(utterance) for utterance in utterances]


class Translator:
    """Translates to the number of samples; refuses 13."""

    def __init__(self):
        self.batches = []

    def __call__(self, waveforms, tgt_langs):
        lengths = [len(waveform) for waveform in waveforms]
        self.batches.append(lengths)
        assert tgt_langs == ["de"] * len(waveforms)
        if 13 in lengths:
            raise RuntimeError("unlucky")
        return [[Translation(str(n), [], [], 0.0)] for n in lengths]


def test_failures_do_not_stop_the_rest(tmp_path, caplog):
    translate, store = Translator(), translation_store(tmp_path, {})
    run = Run(translate, store, batch_size=3)
    run.run(UTTERANCES, make_reader, num_workers=0)
    assert run.failures == {
        "u3": "no sound",
        "u1": "RuntimeError: unlucky",
        "u6": "RuntimeError: unlucky",
    }
    done = {u.key: store[u.identity][0].text for u in UTTERANCES if u.identity in store}
    assert done == {"u0": "3", "u2": "5", "u4": "4", "u5": "9", "u7": "2"}
    # the longest first; the batch that raises once more, one by one
    assert translate.batches == [[13, 13, 9], [13], [13], [9], [5, 4, 3], [2]]
    assert "utterance u3 failed: no sound" in caplog.text
    assert "the utterances of a batch of 3 are tried one by one: Runtime" in caplog.text
    report = run.report()
    assert report["utterances"] == 8
    assert report["failed"] == 3
    assert report["translated"] == 5
    assert report["seconds_of_audio"] == pytest.approx(23 / 16000)
    assert report["utterances_per_second"] == pytest.approx(5 / run.seconds)
    assert report["real_time_factor"] == pytest.approx(run.seconds / (23 / 16000))


def test_out_of_memory(tmp_path, caplog):
    """The message says which of two it was: a batch, or an utterance alone."""

    class Small(Translator):
        def __call__(self, waveforms, tgt_langs):
            if sum(map(len, waveforms)) > 9:
                raise torch.OutOfMemoryError("Tried 9 GiB")
            return super().__call__(waveforms, tgt_langs)

    run = Run(Small(), translation_store(tmp_path, {}), 3)
    run.run(UTTERANCES[1:3], make_reader, 0)
    assert "of 2 are tried one by one: out of memory: Tried 9 GiB" in caplog.text
    assert run.failures["u1"].startswith("out of memory, alone in its batch: Tried 9")


def test_only_what_is_missing(tmp_path):
    Run(Translator(), translation_store(tmp_path, {}), 3).run(
        UTTERANCES[:3], make_reader, 0
    )
    translate = Translator()
    run = Run(translate, translation_store(tmp_path, {}), 3)
    run.run(UTTERANCES[:5], make_reader, 0)
    # u1 has failed before, u4 is new
    assert translate.batches == [[13, 4], [13], [4]]
    assert run.failures.keys() == {"u1", "u3"}
    report = run.report()
    assert (report["translated_before"], report["translated"]) == (2, 1)
    translate = Translator()
    run = Run(translate, translation_store(tmp_path, {}), 3)
    run.run([UTTERANCES[0], UTTERANCES[4]], make_reader, 0)
    assert translate.batches == []
    assert run.report()["utterances_per_second"] == 0


def test_saves_by_windows(tmp_path):
    """What was translated before the process dies is there afterwards."""

    class Killed(BaseException):
        pass

    class Dying(Translator):
        def __call__(self, waveforms, tgt_langs):
            if len(self.batches) == 10:
                raise Killed
            return super().__call__(waveforms, tgt_langs)

    many = [Utterance(f"u0{'x' * i}", str(i), "de") for i in range(20)]

    def reader(utterances):
        return [Reading(u, torch.ones(3), "") for u in utterances]

    with pytest.raises(Killed):
        Run(Dying(), translation_store(tmp_path, {}), 1).run(many, reader, 0)
    # a window is 8 batches
    store = translation_store(tmp_path, {})
    assert [u.identity in store for u in many] == [True] * 8 + [False] * 12
    translate = Translator()
    Run(translate, store, 1).run(many, reader, 0)
    assert len(translate.batches) == 12
    assert all(u.identity in store for u in many)


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


WRITTEN = [Utterance(key, key, None) for key in ("u9", "u1", "u5")]


def test_files(tmp_path):
    store = translation_store(tmp_path / ".parts", {})
    store.save(
        {
            WRITTEN[0].identity: [
                Translation("a b", ["a", "<space>", "b"], [2, 3, 4], -0.5),
                Translation("", [], [], -1.0),
            ],
            WRITTEN[2].identity: [
                Translation("c", ["c"], [5], -0.25),
                Translation("d", ["d"], [6], -2.0),
            ],
        }
    )
    for n in (3, 4):
        (tmp_path / f"{n}best_recog").mkdir()
    write_results(tmp_path, WRITTEN, store, {"u1": "too short"}, nbest=2)

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
    write_results(tmp_path, WRITTEN[2:], store, {}, nbest=1)
    assert read(1, "text") == "u5 c\n"
    assert not (tmp_path / "failed.scp").exists()
    assert not (tmp_path / "2best_recog").exists()
