"""A corpus of your own: a Kaldi data directory of a manifest."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from espnet_samu.corpora.audio_store import AudioStore
from espnet_samu.corpora.data_dir import write_data_dir
from espnet_samu.corpora.faults import MOST, ManifestErrors
from espnet_samu.corpora.manifest_reader import ManifestOptions, ManifestReader
from espnet_samu.utils.atomic import atomic_write


def prepare(args: argparse.Namespace) -> None:
    """Check a manifest and write its data directory.

    Raises:
        ValueError: The options do not fit, or the manifest has mistakes.
    """
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
