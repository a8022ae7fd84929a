"""Make a Kaldi data directory of a manifest: data preparation for own corpora."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet_samu.data.audio import MODES, AudioStore
from espnet_samu.data.data_dir import write_data_dir
from espnet_samu.data.manifest_options import ManifestOptions
from espnet_samu.data.manifest_reader import MOST, ManifestErrors, ManifestReader
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import run


def str2bool(value: str) -> bool:
    """Read true or false."""
    if value not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{value}' is neither true nor false")
    return value == "true"


def get_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="TSV, see README")
    parser.add_argument("--output_dir", type=Path, required=True, help="data/<set>")
    parser.add_argument("--src_lang", default="multi", help="Suffix of transcripts")
    parser.add_argument("--tgt_lang", default="en", help="Suffix of translations")
    parser.add_argument("--src_case", default="tc", help="Case tag of transcripts")
    parser.add_argument("--tgt_case", default="tc", help="Case tag of translations")
    parser.add_argument(
        "--langs", default="", help="Source languages allowed, e.g. 'es fr' (any)"
    )
    parser.add_argument(
        "--samu", type=str2bool, default=False, help="Transcribed speech only"
    )
    parser.add_argument(
        "--use_src_lang", type=str2bool, default=True, help="Needs transcripts"
    )
    parser.add_argument(
        "--audio",
        choices=MODES,
        default="convert",
        help="convert: decode and check each recording once, write it as 16 kHz FLAC "
        "unless it is that; stat: only see that it is there",
    )
    parser.add_argument(
        "--clips_dir", type=Path, default=Path("dump/clips"), help="Of converted audio"
    )
    parser.add_argument(
        "--drop_faulty",
        type=str2bool,
        default=False,
        help="Leave out utterances whose audio cannot be used, instead of stopping",
    )
    parser.add_argument("--nj", type=int, default=1, help="Threads for the audio")
    parser.add_argument(
        "--check_only", type=str2bool, default=False, help="Write nothing"
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    options = ManifestOptions(
        args.src_lang,
        args.tgt_lang,
        args.src_case,
        args.tgt_case,
        tuple(args.langs.replace(",", " ").split()),
        args.samu,
        args.use_src_lang,
    )
    audio = AudioStore(args.clips_dir, args.audio, args.nj)
    reader = ManifestReader(args.manifest, options, audio, args.drop_faulty)
    faults = args.output_dir.with_name(f"{args.output_dir.name}.faults.tsv")
    faults.unlink(missing_ok=True)
    try:
        data = reader.read()
    except ManifestErrors as e:
        if len(e.mistakes) > MOST:
            save(faults, [(m.line, "-", m.problem) for m in e.mistakes])
            raise ValueError(f"{e}\n    all of them: {faults}") from None
        raise
    if reader.dropped:
        save(faults, [(line, utt, str(fault)) for line, utt, fault in reader.dropped])
    if not args.check_only:
        write_data_dir(data, args.output_dir, [args.manifest, *reader.folders])
        report(args.output_dir, reader, faults)


def save(path: Path, rows: Iterable[tuple[int, str, str]]) -> None:
    """Write line, utterance id and problem of each row."""
    with atomic_write(path) as out:
        out.write("line\tid\tproblem\n")
        out.writelines("\t".join(map(str, row)) + "\n" for row in rows)


def report(output: Path, reader: ManifestReader, faults: Path) -> None:
    """Say what was written, and what was left out or changed."""
    data = reader.data
    languages = {
        "languages": data.files["utt2lang"],
        "target languages": data.files.get("utt2tgt_lang", {}),
    }
    listed = [
        f"{name} {' '.join(sorted(set(codes.values())))}"
        for name, codes in languages.items()
        if codes
    ]
    logging.info("%s: %d utterances, %s", output, len(data.lines), ", ".join(listed))
    if reader.unquoted:
        logging.info("%s: CSV quotes of %d fields removed", output, reader.unquoted)
    if reader.dropped:
        reasons = Counter(fault.reason for *_, fault in reader.dropped)
        logging.warning(
            "%s: %d utterances left out (%s), see %s",
            output,
            len(reader.dropped),
            "; ".join(f"{n}: {why}" for why, n in reasons.most_common()),
            faults,
        )


if __name__ == "__main__":
    run(main)
