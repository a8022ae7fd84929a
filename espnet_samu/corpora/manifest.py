"""A corpus of your own: one data directory, from a manifest or parquet files."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_samu.corpora.audio_store import AudioStore
from espnet_samu.corpora.counts import (
    MOST,
    WHOLE,
    CorpusError,
    Counts,
    Fault,
    ManifestErrors,
    save_faults,
)
from espnet_samu.corpora.data_dir import write_data_dir
from espnet_samu.corpora.manifest_fields import OPTIONAL, REQUIRED, ManifestOptions
from espnet_samu.corpora.manifest_reader import ManifestReader
from espnet_samu.corpora.parquet import (
    AUDIO,
    ShardStore,
    check_mode,
    column_names,
    find_root,
    find_shards,
    read_rows,
)
from espnet_samu.corpora.utterance import safe_ids
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.hub import download_dataset, is_path

_TEXTS = tuple(name for name in (*REQUIRED, *OPTIONAL) if name != AUDIO)


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
        tuple(args.langs),
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
    elif args.manifest.suffix == ".parquet":
        split = args.manifest.stem.split("-")[0]
        raise ValueError(
            f"{args.manifest}: for parquet files write {args.manifest.parent}:{split}, "
            "the folder and the split"
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
    write_data_dir(data, args.output_dir, [args.manifest])
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


def fault_of(name: str, manifest: Path, mistake: CorpusError) -> Fault:
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


def is_parquet(name: str) -> bool:
    """Return whether a manifest is ``<folder or hub id>:<split>``, not a file."""
    if name.endswith(".tsv") or Path(name).exists():
        return False
    return re.fullmatch(r".+:\w+(\.\w+)*", name) is not None


def locate_split(name: str) -> list[Path]:
    """Return the parquet files of a split, downloaded from the hub if need be.

    Args:
        name: ``<folder>:<split>`` or ``<user>/<dataset>[/<folder>]:<split>``.

    Raises:
        OSError: The hub has no such dataset, or cannot be reached.
        ValueError: There is no such split, or a part of it is missing.
    """
    source, _, split = name.rpartition(":")
    folder = Path(source)
    if folder.is_dir():
        return find_shards(find_root(folder), split)
    user, _, rest = source.partition("/")
    dataset, _, inside = rest.partition("/")
    if not dataset or is_path(f"{user}/{dataset}"):
        raise ValueError(f"{source}: no such folder, and no hub id (user/name)")
    start = f"{inside}/".lstrip("/") + split
    patterns = [start + end for end in ("-*", "/*", "")]
    root = download_dataset(f"{user}/{dataset}", [f"{p}.parquet" for p in patterns])
    return find_shards(root / inside, split)


def read_columns(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Read ``--columns``: ``transcript=sentence,language:fr``.

    Returns:
        Column of the dataset by column of the manifest; and what is the same in all
        rows.

    Raises:
        ValueError: It has another form, or names another column.
    """
    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    for part in filter(None, text.replace(" ", ",").split(",")):
        for sign, chosen in (("=", columns), (":", constants)):
            name, found, value = part.partition(sign)
            if found and name in _TEXTS and value:
                chosen[name] = value
                break
        else:
            raise ValueError(
                f"--columns '{part}': write <name>=<column of the dataset>, or "
                f"<name>:<value of all rows>, with a name of {' '.join(_TEXTS)}"
            )
    return columns, constants


def write_manifest(
    name: str,
    mapping: str,
    needed: Sequence[str],
    output: Path,
    clips_dir: Path,
    nj: int,
) -> AudioStore:
    """Write the manifest of a split, whose recordings lie in the parquet files.

    Args:
        name: See :func:`locate_split`.
        mapping: See :func:`read_columns`; columns of the dataset that are called as
            those of a manifest need not be named.
        needed: Columns that must be there.
        output: The manifest. Paths of recordings in it are names for the result.
        clips_dir: Folder of the converted recordings.
        nj: Threads that decode.

    Returns:
        Where the recordings are looked at.

    Raises:
        ValueError: The columns do not fit, or a shard is missing or damaged.
    """
    shards = locate_split(name)
    columns, constants = read_columns(mapping)
    there = column_names(shards[0])
    if AUDIO not in there:
        raise ValueError(
            f"{shards[0]}: no column {AUDIO} with recordings among {' '.join(there)}: "
            "the one that has them must be called so (rename_column of datasets)"
        )
    for column in _TEXTS:
        if column in there and column not in constants:
            columns.setdefault(column, column)
    absent = [c for c in _TEXTS if c not in columns and c not in constants]
    if missing := [column for column in absent if column in needed]:
        raise ValueError(
            f"{shards[0]}: no column {' '.join(missing)}: name those of the dataset, "
            f"{' '.join(there)}, by --columns, such as transcript=sentence,language:fr"
        )
    constants |= dict.fromkeys([c for c in absent if c in REQUIRED and c != "id"], "")
    wanted = [*columns.values(), f"{AUDIO}.path"]
    header = [*dict.fromkeys([*REQUIRED, *columns, *constants])]
    places: dict[str, tuple[Path, int]] = {}
    folder = output.parent.absolute()
    with atomic_write(output) as file:
        file.write("\t".join(header) + "\n")
        for shard in shards:
            for number, values in enumerate(read_rows(shard, wanted)):
                row = constants | dict(zip(columns, values))
                row.setdefault("id", f"{shard.stem.split('-')[0]}-{len(places):08d}")
                row[AUDIO] = _clip_name(row, values[-1])
                places.setdefault(str(folder / row[AUDIO]), (shard, number))
                fields = (" ".join(row[column].split()) for column in header)
                file.write("\t".join(fields) + "\n")
    return ShardStore(clips_dir / output.parent.name, nj, places)


def _clip_name(row: Mapping[str, str], path: str) -> str:
    """Return the file name of a recording: by the id, which is checked to be unique."""
    utt, _ = safe_ids(" ".join(row["id"].split()) or "-", row.get("speaker", ""))
    return utt + Path(path).suffix
