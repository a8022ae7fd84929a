"""Tests of espnet_samu.decoding.batch_decoder."""

import pytest
import torch

from espnet_samu.decoding.batch_decoder import Run
from espnet_samu.decoding.results import translation_store
from espnet_samu.decoding.search import Translation
from espnet_samu.decoding.utterances import Reading, Utterance

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
