"""The mini corpus: grammar, split, audio and data directories."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "egs2" / "mini_asterisk" / "samu_st1"
sys.path.insert(0, str(RECIPE / "local"))

import compose  # noqa: E402
import grammar  # noqa: E402
import spoken  # noqa: E402
from corpus import (  # noqa: E402
    EDGE_PAUSE,
    PHRASE_PAUSE,
    RATE,
    UNIT_PAUSE,
    Corpus,
    join,
    read_rows,
)
from grammar import english_number, english_ordinal  # noqa: E402

SMALL = ["--train_per_lang", "80", "--dev_per_lang", "3", "--test_per_lang", "4"]
SMALL += ["--bitext_contents", "60"]


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    """The unpacked archives."""
    folder = tmp_path_factory.mktemp("mini")
    with tarfile.open(RECIPE / "downloads.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    with tarfile.open(RECIPE / "prompts.tar.gz") as archive:
        archive.extractall(folder / "downloads", filter="data")
    return folder / "downloads"


@pytest.fixture(scope="module")
def corpus(downloads, tmp_path_factory):
    """The recordings."""
    return Corpus(downloads, tmp_path_factory.mktemp("corpus"), {})


@pytest.fixture(scope="module")
def data(downloads, tmp_path_factory):
    """A small corpus."""
    output = tmp_path_factory.mktemp("data")
    command = ["--downloads", str(downloads), "--output_dir", str(output), *SMALL]
    compose.main([*command, "--seed", "7"])
    return output


@pytest.fixture(scope="module")
def contents():
    """Every content of every template."""
    return [c for name in grammar.TEMPLATES for c in grammar.contents_of(name)]


def read(path):
    """Read ``key value`` lines."""
    lines = path.read_text("utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def find(contents, english):
    """Return the content with an English wording."""
    (content,) = [c for c in contents if c.english == english]
    return content


@pytest.mark.parametrize(
    "lang, n, units, text",
    [
        ("es", 16, "16", "dieciséis"),
        ("es", 22, "22", "veintidós"),
        ("es", 31, "30 and 1", "treinta y uno"),
        ("es", 90, "90", "noventa"),
        ("fr", 21, "20 et 1", "vingt et un"),
        ("fr", 22, "20 2", "vingt-deux"),
        ("fr", 71, "60 et 11", "soixante et onze"),
        ("fr", 77, "60 17", "soixante-dix-sept"),
        ("fr", 80, "80", "quatre-vingts"),
        ("fr", 81, "80 1", "quatre-vingt-un"),
        ("fr", 99, "80 19", "quatre-vingt-dix-neuf"),
        ("it", 28, "28", "ventotto"),
        ("it", 41, "41", "quarantuno"),
        ("it", 53, "50 3", "cinquantatré"),
        ("it", 3, "3", "tre"),
        ("ru", 47, "40 7", "сорок семь"),
    ],
)
def test_numbers(corpus, lang, n, units, text):
    phrase = spoken.number(lang, n, corpus.texts[lang])
    assert phrase == spoken.Phrase(
        tuple(f"digits/{unit}" for unit in units.split()), text
    )


@pytest.mark.parametrize(
    "lang, n, text",
    [
        ("es", 1, "primero"),
        ("fr", 31, "trente et un"),
        ("it", 1, "primo"),
        ("ru", 5, "пятый"),
        ("ru", 20, "двадцатый"),
        ("ru", 23, "двадцать третий"),
    ],
)
def test_days_of_the_month(corpus, lang, n, text):
    assert spoken.day_of_month(lang, n, corpus.texts[lang]).text == text


def test_english_words():
    assert english_number(0) == "zero"
    assert english_number(40) == "forty"
    assert english_number(67) == "sixty seven"
    assert english_ordinal(12) == "twelfth"
    assert english_ordinal(30) == "thirtieth"
    assert english_ordinal(31) == "thirty first"


@pytest.mark.parametrize(
    "english, transcripts",
    {
        "monday may first": [
            "lunes primero de mayo",
            "lundi premier mai",
            "lunedì primo maggio",
            "понедельник первый мая",
        ],
        "tomorrow at three twenty one": [
            "mañana a las tres veintiuno",
            "demain à trois heures vingt et un",
            "domani alle tre e ventuno",
            "завтра в три двадцать один",
        ],
        "you have five new and ninety six old messages": [
            "usted tiene cinco nuevos y noventa y seis viejos mensajes",
            "vous avez cinq nouveaux et quatre-vingt-seize anciens messages",
            "hai cinque nuovi e novantasei vecchi messaggi",
            "у вас пять новых и девяносто шесть старых сообщений",
        ],
        "the person at extension zero zero seven is on the phone": [
            "la persona en la extensión cero cero siete se encuentra ocupada",
            "la personne au poste zéro zéro sept est présentement en ligne",
            "la persona all'interno zero zero sette è al telefono",
            "абонент с номером ноль ноль семь занят",
        ],
    }.items(),
)
def test_sentences(corpus, contents, english, transcripts):
    content = find(contents, english)
    for lang, expected in zip(grammar.LANGUAGES, transcripts):
        phrases = spoken.speak(content, lang, corpus.texts[lang])
        assert spoken.transcript(phrases) == expected


def test_every_content_can_be_spoken_and_told_apart(corpus, contents):
    contents = contents + grammar.single_words()
    assert len({content.english for content in contents}) == len(contents) == 34_511
    for lang in grammar.LANGUAGES:
        texts = corpus.texts[lang]
        said = {
            spoken.transcript(spoken.speak(content, lang, texts))
            for content in contents
        }
        assert len(said) == len(contents)


def test_second_speaker_has_every_unit_that_is_tested(corpus, contents):
    texts = corpus.texts["it"]
    needed = {
        unit
        for content in contents
        for phrase in spoken.speak(content, "it", texts)
        for unit in phrase.units
    }
    assert needed <= set(corpus.recordings["it_menardi"])


def test_split_shares(contents):
    splits = [grammar.split_of(content) for content in contents]
    assert splits.count("test") / len(splits) == pytest.approx(0.12, abs=0.006)
    assert splits.count("dev") / len(splits) == pytest.approx(0.04, abs=0.004)
    words = grammar.single_words()
    assert {grammar.split_of(word) for word in words} == {"train"}
    # The hash is part of the corpus: another one would move test into training.
    assert grammar.split_of(find(contents, "nine dollars")) == "train"
    assert grammar.split_of(find(contents, "sixty six dollars")) == "test"


def test_choose_is_even_and_distinct(contents):
    pools = compose.group(contents)
    chosen = compose.choose(pools, 300, compose.random.Random(0))
    counts = {name: len(pool) for name, pool in compose.group(chosen).items()}
    assert len(set(chosen)) == 300
    assert counts.pop("press") == 20
    assert set(counts.values()) == {20}


def test_check_disjoint_refuses_a_leak(contents):
    with pytest.raises(ValueError, match=f"1 held-out .*: {contents[3].english}"):
        compose.check_disjoint(contents[:4], contents[3:5])


def test_join_keeps_order_and_pauses():
    recordings = {"a": np.full(100, 1, np.int16), "b": np.full(50, 2, np.int16)}
    phrases = [spoken.Phrase(("a", "b"), "ab"), spoken.Phrase(("b",), "b")]
    samples = join(phrases, recordings, "seed")
    assert samples.dtype == np.int16
    edges = np.flatnonzero(np.diff(samples != 0)) + 1
    # edge a pause b pause b edge; the first pause may be empty
    pauses = np.diff([0, *edges, len(samples)])[::2] / RATE
    limits = [EDGE_PAUSE, UNIT_PAUSE, PHRASE_PAUSE, EDGE_PAUSE]
    assert len(pauses) == 4
    for pause, (low, high) in zip(pauses, limits):
        assert low - 1 / RATE <= pause <= high + 1 / RATE
    assert samples[samples > 0].tolist() == [1] * 100 + [2] * 50 + [2] * 50
    assert np.array_equal(samples, join(phrases, recordings, "seed"))


def test_recordings_are_trimmed_speech(corpus):
    assert {speaker: len(units) for speaker, units in corpus.recordings.items()} == {
        "es_allison": 99,
        "fr_june": 89,
        "it_carlo": 105,
        "ru_ivrvoice": 108,
        "it_menardi": 93,
    }
    for units in corpus.recordings.values():
        for samples in units.values():
            assert 0.1 * RATE < len(samples) < 5 * RATE
            assert np.abs(samples.astype(int)).max() > 3000


def test_sets(data):
    expected = {
        "samu_train": (320, "es fr it ru", False),
        "samu_dev": (12, "es fr it ru", False),
        "train": (160, "es fr", True),
        "dev": (6, "es fr", True),
        "dev_menardi": (3, "it", True),
        "test": (16, "es fr it ru", True),
        "test_menardi": (4, "it", True),
        "test_prompts": (4 * 62, "es fr it ru", True),
    }
    for name, (count, langs, translated) in expected.items():
        files = {path.name: read(path) for path in (data / name).glob("[!.]*")}
        names = {"wav.scp", "utt2spk", "spk2utt", "utt2lang", "text.tc.multi"}
        names |= {"text.tc.en", "utt2tgt_lang"} if translated else set()
        assert set(files) == names
        assert " ".join(sorted(set(files["utt2lang"].values()))) == langs
        for file, values in files.items():
            assert list(values) == sorted(values)
            assert len(values) == count or file == "spk2utt"
        for utt, speaker in files["utt2spk"].items():
            assert utt.startswith(f"{speaker}-")
            assert utt in files["spk2utt"][speaker].split()
        path = next(iter(files["wav.scp"].values()))
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.format) == (16_000, 1, "FLAC")


def test_same_contents_in_every_test_language(data):
    text = read(data / "test" / "text.tc.en")
    text |= read(data / "test_menardi" / "text.tc.en")
    by_speaker = {}
    for utt, english in text.items():
        by_speaker.setdefault(utt.split("-")[0], []).append(english)
    assert len(by_speaker) == 5
    assert len({tuple(english) for english in by_speaker.values()}) == 1


def test_nothing_held_out_is_in_training(data):
    rows = (data / "bitext" / "bitext.tsv").read_text("utf-8").splitlines()
    assert rows[0] == "lang\ttext\tenglish"
    lang, text, english = zip(*(row.split("\t") for row in rows[1:]))
    assert {code: lang.count(code) for code in lang} == dict.fromkeys(
        grammar.LANGUAGES, 60 + len(grammar.WORDS)
    )
    seen, said = set(english), set(zip(lang, text))
    assert set(read(data / "train" / "text.tc.en").values()) <= seen
    for name in ("dev", "test", "test_menardi"):
        assert not set(read(data / name / "text.tc.en").values()) & seen
    for name, inside in (("samu_train", True), ("samu_dev", False), ("test", False)):
        langs = read(data / name / "utt2lang")
        for utt, transcript in read(data / name / "text.tc.multi").items():
            assert ((langs[utt], transcript) in said) is inside


def test_template_floor(data, contents):
    template = {content.english: content.template for content in contents}
    floor = read(data / "template_floor" / "text")
    text = read(data / "test" / "text.tc.en")
    text |= read(data / "test_menardi" / "text.tc.en")
    prompts = read(data / "test_prompts" / "text.tc.en")
    assert list(floor) == sorted(text | prompts)
    assert all(template[floor[utt]] == template[text[utt]] for utt in text)
    assert {floor[utt] for utt in prompts} <= set(prompts.values())


def test_prompts_are_whole_and_in_no_other_set(data, downloads):
    text = read(data / "test_prompts" / "text.tc.en")
    langs = read(data / "test_prompts" / "utt2lang")
    by_lang = {}
    for utt, english in text.items():
        by_lang.setdefault(langs[utt], []).append(english)
    assert len({tuple(english) for english in by_lang.values()}) == 1
    prompts = set(by_lang["ru"])
    assert len(prompts) == 62
    rows = (data / "bitext" / "bitext.tsv").read_text("utf-8").splitlines()
    assert not prompts & {row.split("\t")[2] for row in rows}
    assert not prompts & set(read(data / "test" / "text.tc.en").values())
    # What is heard is the recording, between two pauses.
    utt = "it_carlo-prompt-00000"
    wav = dict(line.split() for line in (data / "test_prompts" / "wav.scp").open())
    row = next(r for r in read_rows(downloads / "prompts") if r["language"] == "it")
    seconds = soundfile.info(downloads / "prompts" / row["file"]).duration
    assert 0.04 <= soundfile.info(wav[utt]).duration - seconds <= 0.2
    assert read(data / "test_prompts" / "text.tc.multi")[utt] == row["text"]


def test_slot_words(data):
    slots = (data / "slots.txt").read_text().splitlines()
    assert slots == sorted(set(slots))
    assert {"seventy", "third", "may", "sunday", "yesterday", "pm"} <= set(slots)
    assert not {"messages", "dollars", "minutes", "seconds", "and"} & set(slots)


@pytest.mark.timeout(30)
def test_seed_changes_training_alone(data, downloads, tmp_path):
    def contents_of(folder, name):
        return (folder / name).read_bytes()

    command = ["--downloads", str(downloads), "--nj", "1", *SMALL]
    same, other = tmp_path / "same", tmp_path / "other"
    compose.main([*command, "--output_dir", str(same), "--seed", "7"])
    compose.main([*command, "--output_dir", str(other), "--seed", "8"])
    name = "samu_train/text.tc.multi"
    assert contents_of(same, name) == contents_of(data, name)
    assert contents_of(other, name) != contents_of(data, name)
    for name in ("test/text.tc.en", "dev/text.tc.en", "template_floor/text"):
        assert contents_of(other, name) == contents_of(data, name)
    flac = "audio/it_menardi/it_menardi-test-00000.flac"
    assert contents_of(other, flac) == contents_of(data, flac)


def test_archive_carries_licences_and_credits(downloads):
    text = (downloads / "ATTRIBUTION.md").read_text("utf-8")
    for credit in ("Allison Smith", "June Wallack", "Carlo Flora", "Maxim Topal"):
        assert credit in text
    assert "Digium" in text and "http://www.voip.ammdomus.it" in text
    licences = [path.read_text("utf-8") for path in (downloads / "licenses").iterdir()]
    assert len(licences) == 2
    assert any("License: CC-BY-3.0" in licence for licence in licences)


def test_rebuilding_names_what_is_missing(tmp_path):
    utils = RECIPE / "utils"
    if not utils.exists():
        pytest.skip("utils is a link into ESPnet's sources: make -C tools setup")
    for tool in ("apt-get", "dpkg", "dpkg-deb"):
        (tmp_path / tool).symlink_to("/bin/true")
    for tool in ("bash", "date", "cat", "grep", "sed"):
        (tmp_path / tool).symlink_to(
            subprocess.check_output(["which", tool], text=True).strip()
        )
    done = subprocess.run(
        ["bash", "local/make_downloads.sh"],
        cwd=RECIPE,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "apt-get install ffmpeg" in done.stdout


COMPOSE = """#!/bin/bash
# Stands for local/compose.py: every set names one recording.
echo composed
mkdir -p data/audio data/bitext data/template_floor
touch data/audio/a.flac
for name in bitext/bitext.tsv slots.txt template_floor/text; do
    echo x > data/$name
done
sets="samu_train samu_dev train dev dev_menardi test test_menardi test_prompts"
for dset in $sets; do
    mkdir -p data/$dset
    echo "a data/audio/a.flac" > data/$dset/wav.scp
done
"""


@pytest.mark.timeout(30)
def test_what_was_removed_is_composed_again(tmp_path):
    recipe = tmp_path / "egs2" / "mini_asterisk" / "samu_st1"
    ignored = shutil.ignore_patterns("*.tar.gz", "study", "data", "dump", "exp")
    shutil.copytree(RECIPE, recipe, symlinks=True, ignore=ignored)
    (tmp_path / "egs2" / "TEMPLATE").symlink_to(ROOT / "egs2" / "TEMPLATE")
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    (recipe / "downloads").mkdir()
    (recipe / "downloads" / ".done").touch()
    (tmp_path / "compose").write_text(COMPOSE)

    def is_composed():
        command = ["local/data.sh", "--stage", "2", "--stop_stage", "2"]
        command += ["--python", f"bash {tmp_path}/compose"]
        done = subprocess.run(command, cwd=recipe, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return "\ncomposed\n" in done.stdout

    assert is_composed()
    assert not is_composed()
    for name in ("train/wav.scp", "audio/a.flac", "slots.txt", "test_prompts/wav.scp"):
        (recipe / "data" / name).unlink()
        assert is_composed(), name
    assert not is_composed()
