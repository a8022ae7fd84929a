#!/usr/bin/env python3
"""A small corpus in the layout of Common Voice release 4 and CoVoST-2.

``python covost2_tree.py FOLDER`` writes ``FOLDER/cv`` and ``FOLDER/covost2`` with all
36 directions, for a run of all stages. Texts are made up, clips are sines.
"""

import argparse
import io
import tarfile
import tempfile
from pathlib import Path

RELEASE = "cv-corpus-4-2019-12-10"
CV_HEADER = "client_id path sentence up_votes down_votes age gender accent".split()
HEADER = "path translation split client_id".split()
RATE = 48000
SECONDS = 0.3
SPLITS = ["train"] * 4 + ["dev"] * 2 + ["test"] * 2
"""Of the clips 1 to 8 of a language without faults."""
TESTS = ["The test.", "One more test."]
"""English of the last two, as of fr: other languages say the same."""
WORDS = {
    "de": "der Zug",
    "es": "el tren",
    "ca": "el tren gran",
    "it": "il treno",
    "ru": "поезд",
    "zh-CN": "火车",
    "pt": "o comboio",
    "fa": "قطار",
    "et": "rong",
    "mn": "галт тэрэг",
    "nl": "de trein",
    "tr": "tren",
    "ar": "القطار",
    "lv": "vilciens",
    "sl": "vlak",
    "ta": "ரயில்",
    "ja": "電車",
    "id": "kereta",
    "cy": "trên",
}
"""A train in the languages that have no faults."""


def client(number):
    """A client_id: 128 hexadecimal digits that begin with the number."""
    return f"{number:04x}" + "ab" * 62


def clip(lang, number):
    """File name of a clip."""
    return f"common_voice_{lang}_{number}.mp3"


def make_mp3(frequency=440):
    """Bytes of an mp3 file: 0.3 s of a sine, 48 kHz, one channel.

    Args:
        frequency: In Hz.
    """
    import numpy as np
    import soundfile

    time = np.arange(int(RATE * SECONDS)) / RATE
    file = io.BytesIO()
    wave = 0.1 * np.sin(2 * np.pi * frequency * time)
    soundfile.write(file, wave, RATE, format="MP3")
    return file.getvalue()


def write_clips(folder, lang, numbers, mp3):
    """Write the same clip under all numbers."""
    clips = folder / lang / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (clips / clip(lang, number)).write_bytes(mp3)


def write_tsv(path, header, rows, end="\n"):
    """Write a table as it is: who wants an escape writes it."""
    lines = ["\t".join(fields) for fields in [header, *rows]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())


def write_language(folder, lang, rows, end="\n"):
    """Write validated.tsv. Rows: client number, clip number, sentence."""
    rows = [
        [client(speaker), clip(lang, number), sentence, "2", "0", "", "", ""]
        for speaker, number, sentence in rows
    ]
    write_tsv(folder / lang / "validated.tsv", CV_HEADER, rows, end)


def write_translations(folder, source, target, rows, end="\n"):
    """Write translations. Rows: clip number, translation, split."""
    rows = [
        [clip(source, number), translation, split, "-"]
        for number, translation, split in rows
    ]
    write_tsv(folder / f"covost_v2.{source}_{target}.tsv", HEADER, rows, end)


def make_corpus(folder, mp3):
    """Write fr, sv-SE, cs and en with every fault that the preparation knows.

    fr: all faults. sv-SE: an archive. cs: no translations. en: to de and sv-SE.

    Args:
        folder: Where to.
        mp3: Bytes of all clips.

    Returns:
        Folders of Common Voice and CoVoST-2.
    """
    voice, covost2 = folder / "cv", folder / "covost2"
    release = voice / RELEASE

    # Lines of fr, by number of the clip: 1-6 train, 7 dev, 8-9 test, 10-19 faults.
    sentences = [
        (1, 1, '"Oui", dit-il.'),
        (1, 2, "l\\'eau \\\\ le vin"),
        (2, 3, "NA"),
        (2, 4, "null"),
        (3, 5, "De  rien\u2028mon\u00a0ami\\\tcher."),
        (3, 6, "Il pleut."),
        (4, 7, "Le développement."),
        (5, 8, "Le test."),
        (1, 9, "Encore un test."),  # the speaker of 1 and 2
        (6, 10, "Deux fois ici."),
        (7, 10, "Deux fois ici, encore."),
        (6, 11, "Deux fois traduit."),
        (6, 12, " \ufeff"),
        (6, 13, "Sans traduction."),
        (6, 14, "Sans fichier."),
        (6, 15, "Fichier vide."),
        (6, 16, "Pas du son."),
        (6, 18, "Autre usage."),
        # For the distillation alone.
        (8, 20, "LE TEST"),  # the sentence of 8
        (8, 21, "The development"),  # the translation of 7
        (8, 22, "?!"),
        *((9, number, f"Phrase numéro {number}.") for number in range(30, 70)),
        (10, 70, "Phrase numéro 30 !"),  # the same words once more
    ]
    write_language(release, "fr", sentences)
    with (release / "fr" / "validated.tsv").open("a", encoding="utf-8") as f:
        f.write(f"{client(1)}\t{clip('fr', 19)}\n")  # too few fields
        f.write(f"{client(1)}\ta clip.mp3\tUn nom.\t2\t0\t\t\t\n")  # no clip's name
    translations = [
        (1, '"Yes", he said.', "train"),
        (2, "water \\\\ wine", "train"),
        (3, "NaN", "train"),
        (4, "None", "train_covost"),
        (5, "You are welcome.", "train"),
        (6, "It rains.", "train_covost"),
        (7, "The development.", "dev"),
        (8, "The test.", "test"),
        (9, "One more test.", "test"),
        (10, "Twice here.", "train"),
        (11, "Translated twice.", "train"),
        (11, "Translated two times.", "train"),
        (12, "Silence.", "train"),
        (13, "\u200b", "train"),
        (14, "No file.", "train"),
        (15, "Empty file.", "train"),
        (16, "No sound.", "train"),
        (17, "Not validated.", "train"),
        (18, "Other use.", "dev_covost"),
    ]
    write_translations(covost2, "fr", "en", translations)
    with (covost2 / "covost_v2.fr_en.tsv").open("a", encoding="utf-8") as f:
        f.write(f"{clip('fr', 6)}\tone\tfield\ttoo\tmany\n")
    numbers = {*range(1, 23), *range(30, 71)} - {14, 19}
    write_clips(release, "fr", numbers, mp3)
    (release / "fr" / "clips" / clip("fr", 15)).write_bytes(b"")
    (release / "fr" / "clips" / clip("fr", 16)).write_bytes(b"no mp3 at all" * 50)

    # Windows line ends, and an archive in the folder of the language.
    swedish = [(20, n, f"Mening {n}.") for n in (1, 2, 3, 4)]
    write_language(release, "sv-SE", swedish, end="\r\n")
    swedish = [(1, "Sentence 1.", "train"), (2, "Sentence 2.", "train")]
    swedish += [(3, "Sentence 3.", "dev"), (4, "Sentence 4.", "test")]
    (covost2 / "sv-SE").mkdir()
    name = "covost_v2.sv-SE_en.tsv"
    with tempfile.TemporaryDirectory() as unpacked:
        table = Path(unpacked) / name
        write_translations(table.parent, "sv-SE", "en", swedish, end="\r\n")
        with tarfile.open(covost2 / "sv-SE" / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(table, arcname=name)
    write_clips(release, "sv-SE", range(1, 5), mp3)

    english = [(30 + n % 2, n, f"Clip {n}.") for n in range(1, 9)]
    write_language(release, "en", english)
    splits = ["train"] * 4 + ["dev"] * 2 + ["test"] * 2
    for target in ("de", "sv-SE"):
        write_translations(
            release / "en",  # beside validated.tsv
            "en",
            target,
            [(n, f"{target} {n}.", split) for n, split in enumerate(splits, 1)],
        )
    write_clips(release, "en", range(1, 9), mp3)

    czech = [(40, n, f"Věta {n}.") for n in range(1, 41)]
    czech += [(41, 41, "the TEST!")]  # an English reference of fr
    write_language(release, "cs", czech)
    write_clips(release, "cs", range(1, 42), mp3)
    return voice, covost2


def add_directions(voice, covost2):
    """Add the languages and directions that `make_corpus` leaves out, without faults.

    Every clip has a sine of its own.
    """
    release = voice / RELEASE
    for speaker, (lang, word) in enumerate(WORDS.items(), 100):
        numbers = range(1, len(SPLITS) + 1)
        rows = [(speaker + 100 * n, n, f"{word} {n}.") for n in numbers]
        write_language(release, lang, rows)
        texts = [f"Train {n} of {lang}." for n in numbers[:-2]] + TESTS
        rows = [*zip(numbers, texts, SPLITS)]
        write_translations(covost2, lang, "en", rows)
        for n in numbers:
            write_clips(release, lang, [n], make_mp3(10 * speaker - 800 + 100 * n))
        if lang not in ("de", "es", "it", "ru", "pt", "nl"):
            rows = [(n, f"{word} {n}.", split) for n, split in enumerate(SPLITS, 1)]
            write_translations(covost2, "en", lang, rows)


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="For cv and covost2")
    folder = parser.parse_args().folder
    add_directions(*make_corpus(folder, make_mp3()))


if __name__ == "__main__":
    main()
