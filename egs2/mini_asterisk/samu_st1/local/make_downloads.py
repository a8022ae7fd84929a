"""Cut the recordings that the grammar needs out of the unpacked Debian packages.

Writes ``audio/<language>/<speaker>/*.flac``, ``units.tsv``, the licences and the
attribution. Every transcript is compared with the one in the package.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import logging
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000  # samples/s, of all files written
VORBIS = ("-c:a", "libvorbis", "-q:a", "3")  # about 40 kbit/s
TRIM_DB = -40.0  # relative to the recording's peak: below it is silence

# speaker -> (language, folder below sounds/, suffix). Speaker ids begin utterance ids.
SPEAKERS = {
    "es_allison": ("es", "es_MX_f_Allison", ".g722"),
    "fr_june": ("fr", "fr_CA_f_June", ".g722"),
    "it_carlo": ("it", "it_IT_m_Carlo", ".g722"),
    "ru_ivrvoice": ("ru", "ru_RU_f_IvrvoiceRU", ".g722"),
    "it_menardi": ("it", "it_IT_f_Menardi", ".wav"),
}
# This speaker is for tests only, and single words are never tested: left out to keep
# the archive small.
TEST_SPEAKER = "it_menardi"
WORDS_ONLY = (
    {"auth-thankyou", "digits/minus", "digits/star", "digits/thousand"}
    | {"seconds", "vm-first", "vm-goodbye", "vm-last", "vm-message", "vm-password"}
    | {"vm-received", "vm-saved"}
)
PROMPTS_SECTION = "\n## Whole prompts\n"  # of the licence: goes with their archive
COPYRIGHTS = ("asterisk-core-sounds-it", "asterisk-prompt-it-menardi-wav")


def normalize(text: str) -> str:
    """Return the words alone: lower case, no accents, no punctuation."""
    text = unicodedata.normalize("NFD", text.lower())
    # U+0306 and U+0308 make Russian letters (й, ё) of their own: they stay.
    kept = [c for c in text if not unicodedata.combining(c) or c in "\u0306\u0308"]
    text = unicodedata.normalize("NFC", "".join(kept)).replace("’", "'")
    text = text.replace("a.m.", "am").replace("p.m.", "pm")
    return " ".join(re.sub(r"[^\w'\- ]", " ", text).split())


def read_transcripts(path: Path) -> dict[str, str]:
    """Read ``id: text`` lines; an id that comes twice gets both texts, " / " between.

    The Spanish file lists digits/0 twice and digits/10 never.
    """
    texts: dict[str, str] = {}
    with gzip.open(path, "rt", encoding="utf-8-sig") as lines:
        for line in lines:
            if line.startswith(";") or ":" not in line:
                continue
            unit, text = (field.strip() for field in line.split(":", 1))
            texts[unit] = f"{texts[unit]} / {text}" if unit in texts else text
    return texts


def read_unit_list(path: Path, root: Path) -> dict[str, dict[str, str]]:
    """Read language -> unit -> transcript, checked against the packages.

    Raises:
        ValueError: The package says something else than the list knows of.
    """
    units: dict[str, dict[str, str]] = {}
    packaged: dict[str, dict[str, str]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        lines = (line for line in stream if not line.startswith("#"))
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            lang, unit = row["language"], row["unit"]
            if lang not in packaged:
                name = f"asterisk-core-sounds-{lang}/core-sounds-{lang}.txt.gz"
                packaged[lang] = read_transcripts(root / "usr/share/doc" / name)
            found = packaged[lang].get(unit, "")
            if found != row["packaged"]:
                raise ValueError(
                    f"{path.name}: {lang} {unit}: the package says '{found}', the "
                    f"list expects '{row['packaged']}': listen, then mend the list"
                )
            if normalize(found) != normalize(row["text"]) and not row["note"]:
                raise ValueError(
                    f"{path.name}: {lang} {unit}: '{row['text']}' differs from the "
                    f"package's '{found}': say why in the column note"
                )
            units.setdefault(lang, {})[unit] = row["text"]
    return units


def decode(path: Path) -> np.ndarray:
    """Decode a recording to 16 kHz, ``(N,)`` int16."""
    # A raw G.722 stream has no header: its format is an option.
    form = ["-f", "g722"] if path.suffix == ".g722" else []
    command = ["ffmpeg", "-v", "error", *form, "-i", str(path), "-ac", "1"]
    command += ["-ar", str(RATE), "-f", "s16le", "-"]
    samples = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(samples, "<i2")


def trim(samples: np.ndarray) -> np.ndarray:
    """Cut leading and trailing silence below ``TRIM_DB`` of the peak."""
    level = np.abs(samples.astype(np.int32))
    loud = np.flatnonzero(level > level.max() * 10 ** (TRIM_DB / 20))
    return samples[loud[0] : loud[-1] + 1]


def write(path: Path, samples: np.ndarray) -> None:
    """Write a recording, as FLAC or Vorbis by its name; the same bytes each time."""
    if path.suffix == ".flac":
        soundfile.write(path, samples, RATE, compression_level=1.0)
        return
    command = ["ffmpeg", "-v", "error", "-f", "s16le", "-ar", str(RATE), "-ac", "1"]
    # bitexact: no random serial number.
    command += ["-i", "-", *VORBIS, "-fflags", "+bitexact", "-flags", "+bitexact"]
    subprocess.run([*command, str(path)], check=True, input=samples.tobytes())


def cut(
    root: Path,
    units: dict[str, dict[str, str]],
    output: Path,
    speakers: Sequence[str],
    suffix: str,
) -> None:
    """Write all recordings and units.tsv, and log a line for each speaker."""
    with (output / "units.tsv").open("w", encoding="utf-8") as table:
        print("language\tspeaker\tunit\ttext\tfile", file=table)
        for unit, text in units.get("en", {}).items():
            print("en", "", unit, text, "", sep="\t", file=table)
        for speaker in speakers:
            lang, folder, packaged = SPEAKERS[speaker]
            target = output / "audio" / lang / speaker
            target.mkdir(parents=True)
            seconds = 0.0
            skipped = WORDS_ONLY if speaker == TEST_SPEAKER else set()
            wanted = sorted(set(units[lang]) - skipped)
            for unit in wanted:
                source = root / "usr/share/asterisk/sounds" / folder / (unit + packaged)
                samples = trim(decode(source))
                seconds += len(samples) / RATE
                path = target / (unit.replace("/", "_") + suffix)
                write(path, samples)
                name = path.relative_to(output).as_posix()
                text = units[lang][unit]
                print(lang, speaker, unit, text, name, sep="\t", file=table)
            logging.info("%s: %d units, %.1f s", speaker, len(wanted), seconds)


def get_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, required=True, help="Folder of the unpacked packages"
    )
    parser.add_argument("--unit_list", type=Path, required=True)
    parser.add_argument("--data_license", type=Path, required=True)
    parser.add_argument("--versions", type=Path, required=True, help="name version")
    parser.add_argument("--speakers", nargs="+", default=[*SPEAKERS], choices=SPEAKERS)
    parser.add_argument("--suffix", default=".flac", choices=(".flac", ".ogg"))
    parser.add_argument("--output_dir", type=Path, required=True)
    return parser


def main() -> None:
    """Run from the command line."""
    args = get_parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    units = read_unit_list(args.unit_list, args.root)
    cut(args.root, units, args.output_dir, args.speakers, args.suffix)
    licenses = args.output_dir / "licenses"
    licenses.mkdir()
    for package in COPYRIGHTS:
        # Debian's files hold the credits and the full licence texts.
        source = args.root / "usr/share/doc" / package / "copyright"
        shutil.copyfile(source, licenses / f"{package}.txt")
    versions = "".join(f"- {line}\n" for line in args.versions.read_text().splitlines())
    attribution = args.data_license.read_text(encoding="utf-8")
    if args.suffix == ".flac":  # units
        attribution = attribution.partition(PROMPTS_SECTION)[0]
    (args.output_dir / "ATTRIBUTION.md").write_text(
        f"{attribution}\n## Packages\n\n{versions}", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
