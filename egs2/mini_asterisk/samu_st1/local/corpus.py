"""The utterances, their audio and their Kaldi data directories."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from espnet_samu.utils.command import progress
from espnet_samu.utils.kaldi_io import write_text
from grammar import LANGUAGES, Content
from spoken import Phrase, speak, transcript

RATE = 16_000  # samples/s
UNIT_PAUSE = (0.00, 0.02)  # seconds, uniform: between the parts of a number
PHRASE_PAUSE = (0.02, 0.10)  # seconds, uniform: between phrases
EDGE_PAUSE = (0.02, 0.10)  # seconds, uniform: before and after the utterance
FADE = int(0.005 * RATE)  # samples (5 ms): a cut recording would click


@dataclass(frozen=True)
class Utterance:
    """One utterance.

    Attributes:
        utt: Utterance id; begins with the speaker id, as Kaldi's sorting needs.
        speaker: Speaker id.
        lang: Language spoken.
        content: What it means.
        phrases: What is said.
    """

    utt: str
    speaker: str
    lang: str
    content: Content
    phrases: tuple[Phrase, ...]


def read_recording(path: Path) -> np.ndarray:
    """Read a unit, faded in and out.

    Returns:
        Samples ``(N,)``, int16.

    Raises:
        ValueError: It is not sampled at 16 kHz.
    """
    samples, rate = soundfile.read(path, dtype="int16")
    if rate != RATE:
        raise ValueError(f"{path}: {rate} Hz, expected {RATE} Hz")
    gain = np.ones(len(samples))
    gain[:FADE] = np.linspace(0.0, 1.0, FADE)
    gain[-FADE:] = np.linspace(1.0, 0.0, FADE)
    return (samples * gain).astype(np.int16)


def join(
    phrases: Iterable[Phrase], recordings: Mapping[str, np.ndarray], seed: str
) -> np.ndarray:
    """Join recordings with short pauses.

    Args:
        phrases: What is said.
        recordings: Unit id -> samples ``(N,)`` of one speaker.
        seed: Decides the pauses: of this utterance alone, so that the number of
            utterances or the order of writing changes nothing.

    Returns:
        Samples ``(N,)``, int16.
    """
    rng = random.Random(seed)

    def pause(limits: tuple[float, float]) -> np.ndarray:
        return np.zeros(round(rng.uniform(*limits) * RATE), np.int16)

    parts = [pause(EDGE_PAUSE)]
    for i, phrase in enumerate(phrases):
        if i:
            parts.append(pause(PHRASE_PAUSE))
        for j, unit in enumerate(phrase.units):
            if j:
                parts.append(pause(UNIT_PAUSE))
            parts.append(recordings[unit])
    return np.concatenate([*parts, pause(EDGE_PAUSE)])


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Read the table of an unpacked archive."""
    with (folder / "units.tsv").open(encoding="utf-8", newline="") as stream:
        return [*csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)]


class Corpus:
    """The recordings, and the utterances composed of them so far.

    Args:
        downloads: The unpacked archives.
        output: Where ``audio`` and the data directories go.
        folders: What is filled until these are complete, by their names.
    """

    def __init__(
        self, downloads: Path, output: Path, folders: Mapping[str, Path]
    ) -> None:
        self.output = output
        self.folders = folders
        self.texts: dict[str, dict[str, str]] = {}
        self.recordings: dict[str, dict[str, np.ndarray]] = {}
        self.table: list[tuple[str, str, int, float, int]] = []
        self.seconds: dict[str, float] = {}
        for row in read_rows(downloads):
            unit, samples = row["unit"], read_recording(downloads / row["file"])
            self.texts.setdefault(row["language"], {})[unit] = row["text"]
            self.recordings.setdefault(row["speaker"], {})[unit] = samples

    def utterances(
        self, split: str, lang: str, speaker: str, contents: Iterable[Content]
    ) -> list[Utterance]:
        """Say contents in one language. Equal contents keep equal numbers."""
        return [
            Utterance(
                f"{speaker}-{split}-{i:05d}",
                speaker,
                lang,
                content,
                tuple(speak(content, lang, self.texts[lang])),
            )
            for i, content in enumerate(contents)
        ]

    def prompts(self, downloads: Path) -> list[Utterance]:
        """Add the whole prompts, which are spoken as they were recorded."""
        folder, english = downloads / "prompts", {}
        utterances = []
        for row in read_rows(folder):
            unit, speaker = f"prompt:{row['unit']}", row["speaker"]
            if row["language"] == "en":  # the references come first, without speech
                english[unit] = Content("prompt", (), row["text"])
                continue
            samples = read_recording(folder / row["file"])
            self.recordings.setdefault(speaker, {})[unit] = samples
            phrases = (Phrase((unit,), row["text"]),)
            utt = f"{speaker}-prompt-{list(english).index(unit):05d}"
            utterances.append(
                Utterance(utt, speaker, row["language"], english[unit], phrases)
            )
        return utterances

    @staticmethod
    def wav(audio: Path, utt: Utterance) -> Path:
        """Return the path of an utterance's sound file in the folder ``audio``."""
        return audio / utt.speaker / f"{utt.utt}.flac"

    def write_audio(self, utterances: Sequence[Utterance], nj: int) -> None:
        """Write the FLAC files."""
        audio = self.folders["audio"]
        for folder in {self.wav(audio, utt).parent for utt in utterances}:
            folder.mkdir(parents=True, exist_ok=True)

        def write(utt: Utterance) -> float:
            speaker = self.recordings[utt.speaker]
            samples = join(utt.phrases, speaker, utt.utt)
            # Level 0 (libFLAC's 0-8) is 5 % bigger and much faster than the default.
            soundfile.write(self.wav(audio, utt), samples, RATE, compression_level=0.0)
            return len(samples) / RATE

        # Threads do: encoding happens outside Python's lock.
        with ThreadPoolExecutor(nj) as pool:
            durations = progress(
                pool.map(write, utterances), len(utterances), "recordings"
            )
            self.seconds |= {u.utt: s for u, s in zip(utterances, durations)}

    def write_set(
        self, name: str, utterances: Iterable[Utterance], translated: bool
    ) -> None:
        """Write a Kaldi data directory, and add its lines to the table."""
        folder, audio = self.folders[name], self.output / "audio"
        utterances = sorted(utterances, key=lambda utt: utt.utt)  # ASCII: as LC_ALL=C
        columns = {
            "wav.scp": [str(self.wav(audio, utt)) for utt in utterances],
            "utt2spk": [utt.speaker for utt in utterances],
            "utt2lang": [utt.lang for utt in utterances],
            "text.tc.multi": [transcript(utt.phrases) for utt in utterances],
        }
        if translated:
            columns["utt2tgt_lang"] = ["en"] * len(utterances)
            columns["text.tc.en"] = [utt.content.english for utt in utterances]
        for file, values in columns.items():
            write_text(folder / file, dict(zip((u.utt for u in utterances), values)))
        by_speaker: dict[str, list[str]] = {}
        for utt in utterances:
            by_speaker.setdefault(utt.speaker, []).append(utt.utt)
        spk2utt = {spk: " ".join(utts) for spk, utts in by_speaker.items()}
        write_text(folder / "spk2utt", spk2utt)
        for lang in LANGUAGES:
            mine = [utt for utt in utterances if utt.lang == lang]
            if mine:
                hours = sum(self.seconds[utt.utt] for utt in mine) / 3600
                distinct = len({utt.content.english for utt in mine})
                self.table.append((name, lang, len(mine), hours, distinct))
