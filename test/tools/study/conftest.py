"""A synthetic study: made-up runs, for the tests of statistics and report only."""

import random
from pathlib import Path

import pytest
import yaml

from espnet_samu.scoring.translation import SlotWords
from espnet_samu.utils.kaldi_io import write_text
from study.run_file import RunUtterance, StudyRun, run_path, write_run

LANGS = ("es", "fr", "it", "ru")
NUMBERS = "one two three four five six seven eight nine ten".split()
SLOTS = SlotWords(NUMBERS)
TEMPLATES = (
    "you are caller number {} {}",
    "message from phone number {} {}",
    "there are {} {} participants in the conference",
    "{} hours and {} minutes",
    "you have {} new and {} old messages",
)
# Share of words that are right, in supervised and zero-shot languages
QUALITY = {
    "b": (0.85, 0.25),
    "c_frozen": (0.9, 0.8),
    "j": (0.9, 0.6),
    "k": (0.9, 0.82),
    "k_0": (0.9, 0.7),
    "l": (0.9, 0.3),
    "a": (0.4, 0.2),
    "c_full": (0.92, 0.6),
    "d": (0.9, 0.35),
    "gone": (0.0, 0.0),
}
PRIMARY = ("b", "c_frozen", "j", "k", "l")
DISTILLED = ("c_frozen", "k", "d", "c_full")
PLAN = """\
common: {teacher_updates: 1, vocabulary: 9, decoding: conf/decode_st.yaml}
seeds: {primary: [1, 2, 3, 4, 5], other: [1, 2, 3]}
quick: {arms: [b], seeds: [1], share: 0.5}
students: {}
"""
MINI = Path(__file__).parents[3] / "egs2/mini_asterisk/samu_st1/study/arms.yaml"


def make_contents(number):
    """Return different English sentences."""
    rng = random.Random("contents")
    contents = {}
    while len(contents) < number:
        words = rng.choice(NUMBERS), rng.choice(NUMBERS)
        contents[rng.choice(TEMPLATES).format(*words)] = None
    return [*contents]


def make_utterance(utt, lang, ref, quality, rng):
    """Return a translation of which a share of the words is right."""
    words = [
        w if rng.random() < quality else rng.choice(NUMBERS + ["you", "hours"])
        for w in ref.split()
    ]
    hyp = " ".join(words)
    return RunUtterance.of(utt, lang, ref, hyp, SLOTS)


def make_run(arm, seed, contents, status="ok"):
    """Return a run of an arm."""
    known = {
        "arm": arm,
        "letter": arm[0],
        "seed": seed,
        "settings": {"hash": "0123abcd"},
        "machine": "2 cores, no GPU (synthetic)",
        "versions": {"torch": "0.0 (synthetic)"},
    }
    if status == "failed":
        return StudyRun(status=status, error="killed (synthetic)", **known)
    base = arm.partition("+")[0]
    if base != arm:
        known["settings"] = {"hash": "99999999", "translation.lr": 0.5}
    rng = random.Random(f"{arm} {seed}")
    shift = rng.gauss(0, 0.03)
    supervised, zero_shot = QUALITY[base]
    sets = {"test": LANGS, "test_menardi": ("it",)}
    utterances = {
        name: [
            make_utterance(
                f"{lang}_{name}-{i:03d}",
                lang,
                ref,
                min(1.0, max(0.0, supervised if lang in ("es", "fr") else zero_shot))
                * (1 if name == "test" else 0.3)
                + shift,
                rng,
            )
            for lang in langs
            for i, ref in enumerate(contents)
        ]
        for name, langs in sets.items()
    }
    epochs = range(1, 9)
    curve = {
        "translation": [
            {"epoch": e, "updates": 100 * e, "acc": supervised * (1 - 0.7**e)}
            for e in epochs
        ]
    }
    if base in DISTILLED:
        curve["distillation"] = [
            {"epoch": e, "updates": 90 * e, "loss": 0.6**e, "cos_right": 1 - 0.7**e}
            for e in epochs
        ]
    r1 = {lang: min(1.0, max(0.0, zero_shot + 0.1 + shift)) for lang in LANGS}
    return StudyRun(
        status="ok",
        updates={"distillation": 720, "translation": 800},
        seconds={"distillation": 300.0, "translation": 120.0, "decoding": 30.0},
        retrieval={"test": r1} if base in DISTILLED else None,
        curves=curve,
        utterances=utterances,
        **known,
    )


@pytest.fixture
def make_study(tmp_path):
    """Function that writes a synthetic study and returns its folder."""

    def make(primary=5, contents=20, arms=tuple(QUALITY)):
        refs = make_contents(contents)
        mini = yaml.safe_load(MINI.read_text(encoding="utf-8"))
        compared = {k: mini[k] for k in ("sets", "comparisons", "baselines", "pairs")}
        plan = f"{PLAN}{yaml.safe_dump(compared)}arms:\n"
        for arm in arms:
            plan += f"    {arm}: {{letter: {arm[0]}, title: arm {arm}, "
            plan += f"what: synthetic arm {arm}, "
            plan += f"primary: {str(arm in PRIMARY).lower()}, "
            plan += "translation: {config: conf/train_st.yaml}}\n"
            for seed in range(1, primary + 1 if arm in PRIMARY else 4):
                if arm == "gone" or (arm, seed) == ("a", 3):
                    continue
                status = "failed" if (arm, seed) == ("d", 2) else "ok"
                run = make_run(arm, seed, refs, status)
                write_run(run_path(tmp_path / "runs", arm, seed), run)
        changed = make_run("c_frozen+99999999", 1, refs)
        write_run(run_path(tmp_path / "runs", changed.arm, 1), changed)
        (tmp_path / "arms.yaml").write_text(plan)
        floor, source = {}, {}
        rng = random.Random("floor")
        for name, langs in (("test", LANGS), ("test_menardi", ("it",))):
            for lang in langs:
                for i, ref in enumerate(refs):
                    utt = f"{lang}_{name}-{i:03d}"
                    floor[utt] = " ".join(
                        rng.choice(NUMBERS) if w in NUMBERS else w for w in ref.split()
                    )
                    source[utt] = f"({lang} for: {ref})"
        write_text(tmp_path / "floor", floor)
        write_text(tmp_path / "src", source)
        (tmp_path / "slots.txt").write_text("\n".join(NUMBERS) + "\n")
        return tmp_path

    return make


TRAIN = "max_epoch: 2\nnum_iters_per_epoch: 50\noptim_conf: {lr: 0.1}\n"


SMALL_PLAN = {
    "common": {"teacher_updates": 400, "vocabulary": 140, "decoding": "decode.yaml"},
    "sets": {"tests": ["test"], "retrieved": ["test"]},
    "comparisons": {"H1": {"arm": "c", "against": "b", "shows": "it helps"}},
    "seeds": {"primary": [1, 2, 3], "other": [1]},
    "quick": {"arms": ["b"], "seeds": [1], "share": 0.5},
    "students": {
        "all": {"kind": "distillation", "config": "samu.yaml"},
        "part": {
            "kind": "distillation",
            "config": "samu.yaml",
            "set": {"pooling": "max"},
            "data": {"languages": ["es"], "keep": {"es": 0.1}},
        },
    },
    "arms": {
        "g": {
            "letter": "g",
            "title": "max pooling",
            "what": "max pooling",
            "student": "part",
            "frozen": True,
            "translation": {"config": "st.yaml"},
        },
        "b": {
            "letter": "b",
            "title": "no distillation",
            "primary": True,
            "what": "no distillation",
            "translation": {"config": "st.yaml", "set": {"optim_conf": {"lr": 0.2}}},
        },
        "c": {
            "letter": "c",
            "title": "distilled",
            "primary": True,
            "what": "distilled",
            "student": "all",
            "translation": {"config": "st.yaml"},
        },
    },
}


@pytest.fixture()
def recipe(tmp_path: Path) -> Path:
    """A folder of small configurations with a plan, arms.yaml."""
    for name in ("samu", "st"):
        (tmp_path / f"{name}.yaml").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "decode.yaml").write_text("beam_size: 5\n", encoding="utf-8")
    (tmp_path / "arms.yaml").write_text(yaml.safe_dump(SMALL_PLAN, sort_keys=False))
    return tmp_path
