import json
import subprocess
import sys

import numpy as np
import pytest

from espnet_samu.scoring.directions import Direction
from espnet_samu.scoring.significance import (
    PairedScore,
    Significance,
    paired_bootstrap,
    two_sided_p,
)
from espnet_samu.scoring.translation import MetricSettings, score_translation

WORDS = "the old house by the green river was not very far from our small town".split()
REFS = {f"u{i}": " ".join(WORDS[i % 5 : 6 + i % 9]) for i in range(30)}
BASE = {
    u: " ".join(w if (i + j) % 3 else "x" for j, w in enumerate(ref.split()))
    for i, (u, ref) in enumerate(REFS.items())
}
BETTER = {u: REFS[u] if i % 3 else hyp for i, (u, hyp) in enumerate(BASE.items())}
ALIKE = {
    u: " ".join(w if (i + j) % 3 else "x" for j, w in enumerate(REFS[u].split(), 1))
    for i, u in enumerate(REFS)
}
SYSTEMS = {"better": BETTER, "base": BASE, "alike": ALIKE}
DIRECTIONS = {"fr": Direction("fr", "fr", "en", tuple(REFS))}
SETTINGS = MetricSettings(("bleu", "chrf", "ter"))


def test_equals_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    tests = paired_bootstrap("base", SYSTEMS, REFS, DIRECTIONS, SETTINGS, 100)
    for name, hyps in {"ref": REFS, **SYSTEMS}.items():
        (tmp_path / name).write_text("".join(f"{hyp}\n" for hyp in hyps.values()))
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "base", "better"]
    command += "alike --ter-case-sensitive --paired-bs --paired-bs-n 100".split()
    command += "--quiet --no-color -w 4".split()

    def run(*options):
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, stdout=subprocess.PIPE, check=True
        )
        return done.stdout.decode()

    systems = tests.scores["fr"]
    assert [*systems] == ["base", "better", "alike"]
    for ours, theirs in zip(systems.values(), json.loads(run("--format", "json"))):
        # Its p-value is one-sided, its sums are in single precision.
        for name in ("score", "mean", "ci"):
            value = getattr(ours["bleu"], name)
            assert value == pytest.approx(theirs["BLEU"][name], rel=1e-6)
    # sacreBLEU's JSON breaks at the float32 of the other metrics.
    printed = run("--format", "text", "-m", "bleu", "chrf", "ter")
    for ours in systems.values():
        for s in ours.values():
            assert f"{s.score:.4f} ({s.mean:.4f} ± {s.ci:.4f})" in printed
    assert systems["base"]["bleu"].p_value is None
    # Nothing of 100 samples was as different: 1 / 101
    assert systems["better"]["bleu"].p_value == pytest.approx(1 / 101)
    assert systems["alike"]["bleu"].p_value > 0.05
    for signature in tests.signatures["fr"].values():
        assert "bs:100|seed:7|" in signature


def test_p_by_a_loop_over_resampled_sets(monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "3")
    ids, size = [*REFS][:12], 12
    systems = {"base": BASE, "other": {u: ALIKE[u] for u in ids}}
    systems["other"]["u3"] = REFS["u3"]
    directions = {"fr": Direction("fr", "fr", "en", tuple(ids))}
    scores = paired_bootstrap("base", systems, REFS, directions, samples=40).scores

    def bleu(name, sample):
        hyps = [systems[name][u] for u in sample]
        return score_translation(hyps, [REFS[u] for u in sample])["bleu"].value

    def difference(sample):
        return bleu("other", sample) - bleu("base", sample)

    rng = np.random.default_rng(3)
    drawn = rng.choice(size, size=(40, size))
    observed, far = difference(ids), 0
    for row in drawn:
        deviation = difference([ids[i] for i in row]) - observed
        far += abs(deviation) * (size / (size - 1)) ** 0.5 >= abs(observed)
    assert 0 < far < 40
    assert scores["fr"]["other"]["bleu"].p_value == pytest.approx((far + 1) / 41)


def test_nothing_to_test():
    wrong = {u: "nothing of it" for u in REFS}
    systems = {"base": BASE, "same": dict(BASE), "wrong": wrong}
    tests = paired_bootstrap("base", systems, REFS, DIRECTIONS, samples=40)
    assert tests.scores["fr"]["same"]["bleu"].p_value == 1
    systems = {"wrong": wrong, "also": {u: "nor of that" for u in REFS}}
    tests = paired_bootstrap("wrong", systems, REFS, DIRECTIONS, samples=40)
    assert tests.scores["fr"]["also"]["bleu"] == PairedScore(0.0, 0.0, 0.0, 1.0)
    one = {"fr": Direction("fr", "fr", "en", ("u1",))}
    tests = paired_bootstrap("base", SYSTEMS, REFS, one, samples=40)
    assert tests.scores["fr"]["better"]["bleu"].p_value is None
    assert tests.tests == 0 and "; 0 tests, p not corrected" in tests.describe()


def test_five_percent_of_equal_systems():
    """Pairs of equally good systems: a difference of means in all, BLEU in a few."""
    rng = np.random.default_rng(1)
    p_values = []
    for difference in rng.normal(size=(600, 30)):
        drawn = rng.choice(30, size=(200, 30))
        resampled = difference[drawn].mean(axis=1)
        p_values.append(two_sided_p(difference.mean(), resampled, 30))
    assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.075
    assert 0.4 < np.mean(np.array(p_values) < 0.5) < 0.6
    assert max(p_values) > 0.95

    def noisy(ref):
        kept = rng.random(len(ref.split())) < 0.7
        return " ".join(w if k else "x" for w, k in zip(ref.split(), kept))

    systems = {f"s{i}": {u: noisy(ref) for u, ref in REFS.items()} for i in range(40)}
    tests = paired_bootstrap("s0", systems, REFS, DIRECTIONS, samples=40)
    p_values = [scores["bleu"].p_value for _, _, scores in tests.rows()][1:]
    assert max(p_values) > 0.8


def test_by_direction(monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    half = tuple(REFS)[:15]
    directions = {**DIRECTIONS, "es": Direction("es", "es", "en", half)}
    tests = paired_bootstrap("base", SYSTEMS, REFS, directions, samples=40)
    alone = paired_bootstrap(
        "base",
        SYSTEMS,
        {u: REFS[u] for u in half},
        {"es": directions["es"]},
        samples=40,
    )
    assert tests.scores["es"] == alone.scores["es"]
    assert tests.scores["es"] != tests.scores["fr"]
    assert "seed:12345" in tests.signatures["es"]["chrf"]
    assert [(name, key) for name, key, _ in tests.rows()][2:4] == [
        ("alike", "fr"),
        ("base", "es"),
    ]
    again = Significance.from_dict(json.loads(json.dumps(tests.to_dict())))
    assert again == tests


def test_refused(monkeypatch):
    for baseline, systems, samples, message in (
        ("xx", SYSTEMS, 40, "baseline must be one of .*: 'xx'"),
        ("base", {"base": BASE}, 40, "two or more systems .*: 'base'"),
        ("base", SYSTEMS, 39, "samples must be at least 40: 39"),
    ):
        with pytest.raises(ValueError, match=message):
            paired_bootstrap(baseline, systems, REFS, DIRECTIONS, samples=samples)
    for seed in ("0", "none"):
        monkeypatch.setenv("SACREBLEU_SEED", seed)
        with pytest.raises(ValueError, match=f"must be a number from 1.*'{seed}'"):
            paired_bootstrap("base", SYSTEMS, REFS, DIRECTIONS, samples=40)
