#!/usr/bin/env python3
"""Choose the utterances of a distillation and count those that are dropped."""

import argparse
import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.corpora.audio import SHORTEST
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import Archives, ForbiddenEntry, iterate_text, read_text
from espnet_samu.utils.language_codes import merge_spellings
from espnet_samu.utils.waveform import LOUDEST, SAMPLING_RATE


@dataclasses.dataclass(frozen=True)
class Selection:
    """What is left of a data directory, and what is not."""

    samples: dict[str, int]
    """Samples at 16 kHz of each utterance that can be used."""
    dropped: dict[str, str]
    """Reason for each utterance that cannot."""

    def reasons(self) -> dict[str, int]:
        """Return the number of utterances by reason, most frequent first."""
        return dict(Counter(self.dropped.values()).most_common())


def select(
    data_dir: Path,
    text: Path,
    embed: Path,
    source_dir: Path | None = None,
    check_audio: bool = False,
    jobs: int = 1,
) -> Selection:
    """Choose the utterances that have audio and a sentence embedding.

    Args:
        data_dir: Formatted data directory (dump/raw/SET): wav.scp, utt2num_samples.
        text: What was embedded: ``utt_id sentence...``.
        embed: embed.scp of the teacher.
        source_dir: Data directory before formatting (data/SET), whose utterances are
            accounted for, too. Its text has the name of ``text``.
        check_audio: Read the audio, to drop what is silent, not finite or unreadable.
        jobs: Threads that read audio.

    Raises:
        ValueError: Nothing is left; or a file is malformed, or names a command or a
            pickle (names file and line).
    """
    wavs = read_text(data_dir / "wav.scp", allow_empty=False)
    counts = read_text(data_dir / "utt2num_samples", allow_empty=False)
    sentences = read_text(text)
    embedded = read_text(embed, allow_empty=False)
    dropped: dict[str, str] = {}
    if source_dir is not None:
        dropped.update(_lost_in_formatting(source_dir, text.name, wavs))
    samples: dict[str, int] = {}
    for utt in wavs:
        count = counts.get(utt, "0")
        if not (count.isascii() and count.isdigit() and len(count) < 19):
            raise ValueError(
                f"{data_dir}/utt2num_samples: '{utt}' must have a number of samples: "
                f"{count!r}"
            )
        n = int(count)
        if not sentences.get(utt):
            dropped[utt] = "no transcript"
        elif utt not in embedded:
            dropped[utt] = "no sentence embedding"
        elif n < SHORTEST:
            dropped[utt] = f"shorter than one frame ({SHORTEST} samples)"
        else:
            samples[utt] = n
    for utt in sentences:
        if utt not in wavs:
            dropped.setdefault(utt, "no audio")
    if check_audio:
        scp = data_dir / "wav.scp"
        lines = [line for line in iterate_text(scp) if line[1] in samples]

        def fault_of(line: tuple[int, str, str]) -> str | None:
            number, utt, path = line
            try:
                return audio_fault(path)
            except ForbiddenEntry as error:
                raise ValueError(f"{scp}:{number}: entry of '{utt}' {error}") from None

        with ThreadPoolExecutor(jobs) as pool:
            for (_, utt, _), fault in zip(lines, pool.map(fault_of, lines)):
                if fault is not None:
                    dropped[utt] = fault
                    del samples[utt]
    selection = Selection(samples, dropped)
    if not samples:
        reasons = "; ".join(f"{n}: {why}" for why, n in selection.reasons().items())
        raise ValueError(f"{data_dir}: no utterance can be used ({reasons})")
    return selection


def _lost_in_formatting(
    source_dir: Path, text: str, left: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the utterances of data/SET that stages 2-4 have removed, and why."""
    sentences = read_text(source_dir / text) if (source_dir / text).exists() else {}
    segments = source_dir / "segments"
    audio = read_text(segments if segments.exists() else source_dir / "wav.scp")
    for utt in {**audio, **sentences}:
        if utt in left:
            continue
        if utt not in audio:
            yield utt, "no audio"
        elif not sentences.get(utt):
            yield utt, "no transcript"
        else:
            yield utt, "too short or too long for stage 4"


def audio_fault(path: str) -> str | None:
    """Return why a sound file, or an entry of an ark, cannot be used, else None.

    Raises:
        ForbiddenEntry: The path is a command, or the entry is a pickle.
    """
    import numpy as np
    import soundfile

    try:
        if Path(path).exists():
            wave, rate = soundfile.read(path, dtype="float32")
        else:
            with Archives() as archives:
                audio = archives.read(path)
            if not isinstance(audio, tuple):
                return "unreadable audio"
            rate, wave = audio
    except ForbiddenEntry:
        raise
    except (soundfile.SoundFileError, OSError, ValueError):
        return "unreadable audio"
    if rate != SAMPLING_RATE:
        return f"sampling rate {rate} Hz, not {SAMPLING_RATE}"
    if wave.ndim != 1:
        return f"{wave.shape[1]} channels"
    if not np.isfinite(wave).all():
        return "not finite"
    if wave.dtype.kind == "f" and abs(wave).max(initial=0.0) > LOUDEST:
        return f"samples outside of [-{LOUDEST:g}, {LOUDEST:g}]"
    if len(wave) == 0 or wave.max() == wave.min():
        return "silent"
    return None


def language_rows(name: str, samples: dict[str, int], utt2lang: Path) -> list[str]:
    """Return lines ``set, language, utterances, hours``, separated by tabs.

    Raises:
        ValueError: The file misses utterances.
    """
    langs = read_text(utt2lang, allow_empty=False)
    missing = [utt for utt in samples if utt not in langs]
    if missing:
        raise ValueError(
            f"{utt2lang} misses {len(missing)} of {len(samples)} utterances, e.g. "
            f"{missing[0]}"
        )
    (langs,) = merge_spellings(str(utt2lang), {utt: langs[utt] for utt in samples})
    numbers: Counter = Counter(langs.values())
    total: Counter = Counter()
    for utt, n in samples.items():
        total[langs[utt]] += n
    return [
        f"{name}\t{lang}\t{numbers[lang]}\t{total[lang] / SAMPLING_RATE / 3600:.3f}"
        for lang in sorted(numbers)
    ]


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Choose the utterances that have audio, a text and its sentence "
        "embedding: OUTPUT_DIR/speech_shape (samples at 16 kHz). Those that are "
        "dropped go to dropped.tsv with the reason, counts to languages.tsv.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data_dir", required=True, help="E.g. dump/raw/train")
    parser.add_argument(
        "--source_dir",
        type=str_or_none,
        default=None,
        help="E.g. data/train: what stages 2-4 removed is counted, too",
    )
    parser.add_argument(
        "--text", required=True, help="File in data_dir whose sentences were embedded"
    )
    parser.add_argument("--embed", required=True, help="The teacher's embed.scp")
    parser.add_argument(
        "--check_audio",
        type=str2bool,
        default=False,
        help="Read the audio: drop what is silent, not finite, unreadable, not at "
        "16 kHz or not of one channel",
    )
    parser.add_argument("--nj", type=int, default=1, help="Threads that read audio")
    parser.add_argument("--output_dir", required=True, help="Output folder")
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        cmd: Arguments; those of the process by default.
    """
    args = get_parser().parse_args(cmd)
    data_dir, output_dir = Path(args.data_dir), Path(args.output_dir)
    selection = select(
        data_dir,
        Path(args.text),
        Path(args.embed),
        Path(args.source_dir) if args.source_dir else None,
        args.check_audio,
        args.nj,
    )
    rows = language_rows(data_dir.name, selection.samples, data_dir / "utt2lang")
    with atomic_write(output_dir / "speech_shape") as f:
        f.writelines(f"{utt} {n}\n" for utt, n in selection.samples.items())
    with atomic_write(output_dir / "dropped.tsv") as f:
        f.writelines(f"{utt}\t{why}\n" for utt, why in selection.dropped.items())
    with atomic_write(output_dir / "languages.tsv") as f:
        f.writelines(f"{row}\n" for row in rows)
    print("set, language, utterances, hours:")
    print("\n".join(rows))
    print(f"{data_dir}: {len(selection.samples)} utterances are used")
    for why, n in selection.reasons().items():
        print(f"{data_dir}: {n} utterances are dropped: {why}")


if __name__ == "__main__":
    run(main)
