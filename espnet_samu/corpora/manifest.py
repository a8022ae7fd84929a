"""A corpus of your own: one data directory, from a manifest or parquet files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from espnet_samu.corpora.audio_store import AudioStore
from espnet_samu.corpora.counts import WHOLE, Counts, Fault, save_faults
from espnet_samu.corpora.data_dir import write_data_dir
from espnet_samu.corpora.faults import MOST, ManifestError, ManifestErrors
from espnet_samu.corpora.manifest_fields import ManifestOptions
from espnet_samu.corpora.manifest_parquet import is_parquet, write_manifest
from espnet_samu.corpora.manifest_reader import ManifestReader
from espnet_samu.corpora.parquet import check_mode
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
    name = args.output_dir.name
    report = args.output_dir.parent / "local" / name
    (report / "faults.tsv").unlink(missing_ok=True)
    audio = AudioStore(args.clips_dir, args.audio, args.nj)
    if is_parquet(f"{args.manifest}"):
        check_mode(args.manifest, args.audio)
        source, args.manifest = f"{args.manifest}", report / "manifest.tsv"
        needed = ["language"] + ["transcript"] * bool(options.transcripts)
        needed += ["translation", "target_language"] * bool(options.translations)
        audio = write_manifest(
            source, args.columns, needed, args.manifest, args.clips_dir, args.nj
        )
    elif args.columns:
        raise ValueError("--columns is for parquet files; a manifest names its own")
    reader = ManifestReader(args.manifest, options, audio, args.drop_faulty)
    try:
        data = reader.read()
    except ManifestErrors as e:
        if len(e.mistakes) > MOST:
            faults = report / "faults.tsv"
            save_faults(faults, [fault_of(name, args.manifest, m) for m in e.mistakes])
            raise ValueError(f"{e}\n    all of them: {faults}") from None
        raise
    if args.check_only:
        return
    write_data_dir(data, args.output_dir, [args.manifest, *reader.folders])
    save_ids(report / "ids.tsv", reader.renamed)
    count(name, reader).save(report)
    print((report / "counts.md").read_text("utf-8"))


def save_ids(path: Path, renamed: Mapping[str, tuple[str, str]]) -> None:
    """Write the ids that were replaced: the new one, speaker and id in the manifest."""
    path.unlink(missing_ok=True)
    if renamed:
        with atomic_write(path) as f:
            f.write("utterance\tspeaker\tid\n")
            for utt, (speaker, own) in renamed.items():
                f.write(f"{utt}\t{speaker}\t{own}\n")


def fault_of(name: str, manifest: Path, mistake: ManifestError) -> Fault:
    """Return a mistake as a line of ``faults.tsv``."""
    place = manifest, mistake.line
    return Fault(name, WHOLE, "-", "refused", mistake.problem, "", *place)


def count(name: str, reader: ManifestReader) -> Counts:
    """Return what was kept, left out and changed."""
    counts = Counts()
    row = counts.of(name)
    row.listed = len(reader.data) + len(reader.dropped)
    if reader.audio.mode == "convert":
        row.seconds = reader.seconds
    for line, utt, fault in reader.dropped:
        place = reader.path, line
        counts.drop(name, WHOLE, utt, fault.reason, *place, fault.detail)
    for what, languages in (
        ("languages", reader.languages),
        ("target languages", reader.target_languages),
    ):
        if languages:
            listed = ", ".join(f"{code} {n}" for code, n in sorted(languages.items()))
            counts.notes.append(f"{name}: {what}: {listed}")
    if reader.fields.unquoted:
        counts.note_quotes(name, reader.fields.unquoted, "fields")
    if reader.renamed:
        number = len(reader.renamed)
        counts.notes.append(
            f"{name}: {number} ids that cannot be file names were replaced, see ids.tsv"
        )
    return counts
