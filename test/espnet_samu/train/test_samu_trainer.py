import numpy as np
import pytest
import torch

from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.kaldi_io import read_vectors, write_text

LANGS = {"utt1": "es", "utt2": "es", "utt3": "it", "utt4": "es"}
CRITERION = {"best_model_criterion": [["valid", "r1", "max"]]}


def stats_of(exp):
    states = torch.load(exp / "checkpoint.pth", weights_only=True)
    return states["reporter"]["stats"][1]["valid"]


def by_hand(exp, data, batch, langs):
    """R@1 of both directions, in loops."""
    model, _ = SAMUTask.build_model_from_file(None, exp / "1epoch.pth")
    with torch.no_grad():
        student = model.eval().embed(*batch).embedding.numpy()
    teacher = np.stack(list(read_vectors(data / "embed.scp").values()))
    names = list(LANGS)
    results = []
    for left, right in ((student, teacher), (teacher, student)):
        shares = []
        for lang in sorted(set(langs.values())):
            pool = [i for i, name in enumerate(names) if langs[name] == lang]
            found = [max(pool, key=lambda j: left[i] @ right[j]) == i for i in pool]
            shares.append(sum(found) / len(found))
        results.append(sum(shares) / len(shares))
    return results


@pytest.mark.parametrize("with_langs", [False, True])
def test_retrieval_over_the_whole_set(samu_cmd, data, batch, tmp_path, with_langs):
    args = []
    if with_langs:
        # Two spellings of one language.
        write_text(tmp_path / "utt2lang", {**LANGS, "utt4": "ES"})
        args = ["--valid_utt2lang", str(tmp_path / "utt2lang")]
    # one utterance a batch: inside a batch each finds its own sentence
    conf = {"valid_batch_size": 1, "valid_batch_type": "unsorted", **CRITERION}
    SAMUTask.main(cmd=samu_cmd(tmp_path, *args, **conf))
    stats = stats_of(tmp_path)
    assert stats["batch_r1"] == 1
    langs = LANGS if with_langs else dict.fromkeys(LANGS, "all")
    expected = by_hand(tmp_path, data, batch, langs)
    assert stats["r1_speech_text"] == pytest.approx(expected[0])
    assert stats["r1_text_speech"] == pytest.approx(expected[1])
    assert stats["r1"] == pytest.approx(sum(expected) / 2)
    assert stats["r1"] < 1
    assert np.isfinite(stats["loss"])
    assert (tmp_path / "valid.r1.best.pth").resolve().name == "1epoch.pth"


def test_language_is_missing(samu_cmd, tmp_path):
    write_text(tmp_path / "utt2lang", {"utt1": "es", "utt2": "es", "utt4": "it"})
    cmd = samu_cmd(tmp_path, "--valid_utt2lang", str(tmp_path / "utt2lang"))
    with pytest.raises(ValueError, match="misses 1 of 4 validation .* e.g. utt3"):
        SAMUTask.main(cmd=cmd)
