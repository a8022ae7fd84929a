"""Data directories of a recipe before, between and after the stages of st.sh."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from espnet_samu.recipe_names import Names, OptionError
from espnet_samu.utils.atomic import atomic_write


def has_content(path: Path) -> bool:
    """Return whether there is a file that is not empty."""
    return path.is_file() and path.stat().st_size > 0


def check_labels(names: Names) -> None:
    """Check that the sets of the distillation have what the teacher is to embed.

    Most recipes' sets for the distillation have transcripts alone.

    Raises:
        OptionError: They have no translations.
    """
    own = names.own
    if own["samu_label"] == "transcript" or own["samu_model"]:
        return
    if names.is_on("skip_train"):
        return
    for name in (own["samu_train_set"], own["samu_valid_set"]):
        folders = ("data", names.data_feats)
        if not any(
            has_content(Path(folder, name, names.label_text)) for folder in folders
        ):
            raise OptionError(
                f"--samu_label translation: {name} has no translations. Distil on "
                f"speech that has them, --samu_train_set {own['train_set']} "
                f"--samu_valid_set {own['valid_set']}, or let stage 1 write "
                f"data/{name}/{names.label_text}"
            )


def check_bitext(names: Names) -> None:
    """Check that a small teacher has what it is trained on.

    Raises:
        OptionError: It has not.
    """
    own = names.own
    if not own["teacher"] and not has_content(Path(own["teacher_bitext"])):
        raise OptionError("--teacher is empty: --teacher_bitext must be a file")


def check_sets(names: Names) -> None:
    """Check that stage 1 has made the sets of this call, with labels.

    Raises:
        OptionError: As check_labels and check_bitext.
        ValueError: A set is missing, or of an earlier run: local/data.sh may list those
            that it has made in data/.sets.
    """
    check_labels(names)
    if names.runs(6) and names.makes_embeddings:
        check_bitext(names)
    listed = Path("data/.sets")
    made = listed.read_text("utf-8").split("\n") if listed.exists() else None
    for name in names.used_sets:
        missing = not has_content(Path("data", name, "wav.scp"))
        if missing or (made is not None and name not in made):
            raise ValueError(
                f"stage 1 has made no data/{name}. --train_set, --valid_set, "
                "--test_sets, --samu_train_set and --samu_valid_set must be names of "
                "sets that it makes (of a manifest a.tsv: a)"
            )


def begin_sets(names: Names) -> None:
    """Mark the sets in dump/ that stages 3 and 4 are about to write as unfinished.

    Stage 3 begins with none: nothing that an earlier corpus had is left in them.
    """
    feats = Path(names.data_feats)
    feats.mkdir(parents=True, exist_ok=True)
    for name in names.used_sets:
        (feats / f".unfinished.{name}").touch()
    if int(names.own["stage"]) > 3:
        return
    for name in filter(None, [*names.used_sets, names.perturbed_set]):
        for folder in (feats / name, feats / "org" / name):
            shutil.rmtree(folder, ignore_errors=True)


def carry_over(names: Names) -> None:
    """Write to dump/ what st.sh does not carry there from data/.

    Transcripts, what the teacher embeds and target languages of the utterances that
    are left, sorted by id, for ESPnet reads files side by side.
    """
    files = (names.transcripts, names.label_text, "utt2tgt_lang")
    for name in names.used_sets:
        folder = Path(names.data_feats, name)
        # With --speed_perturb_factors st.sh formats the perturbed training set instead.
        if not (folder / "wav.scp").exists():
            continue
        for file in dict.fromkeys(files):
            source = Path("data", name, file)
            if source.exists():
                _write_lines(folder, file, source.read_bytes().splitlines())
            else:
                (folder / file).unlink(missing_ok=True)
    source = Path("data", names.own["train_set"], "utt2tgt_lang")
    if names.perturbed_set and source.exists():
        # st.sh does not map them to the perturbed utterances: sp0.9-utt has utt's.
        lines = source.read_bytes().splitlines()
        for factor in names.own["speed_perturb_factors"].split():
            prefix = f"sp{factor}-".encode()
            lines += [prefix + line for line in source.read_bytes().splitlines()]
        _write_lines(Path(names.data_feats, names.perturbed_set), source.name, lines)


def _write_lines(folder: Path, file: str, lines: Sequence[bytes]) -> None:
    """Write lines of the utterances in a set's wav.scp, sorted by id."""
    ids = _first_words(folder / "wav.scp")
    rows = [(line.split(None, 1)[0], line) for line in lines if line.strip()]
    with atomic_write(folder / file, "wb") as f:
        f.writelines(line + b"\n" for key, line in sorted(rows) if key in ids)


def _result_folders(names: Names, made: str) -> dict[str, Path]:
    """Return where results of each set are: of "retrieval", or "translations"."""
    if made == "retrieval":
        sets = names.own["retrieval_sets"].split()
        return {name: Path(names.retrieval_dir, name) for name in sets}
    folder = Path(names.st_exp, names.inference_tag)
    return {name: folder / name for name in names.own["test_sets"].split()}


def _failed(folder: Path) -> Path:
    """Return the file of the utterances that have no result."""
    from espnet_samu.utils.kaldi_io import FAILED  # numpy, for this alone

    return folder / FAILED


def collect_failed(names: Names) -> None:
    """Write what st.sh's decoding jobs say of utterances that have no translation."""
    for name, folder in _result_folders(names, "translations").items():
        decoded = _first_words(folder / "text")
        missing = _first_words(Path(names.data_feats, name, "wav.scp")) - decoded
        rows: dict[bytes, bytes] = {}
        for file in sorted((folder / "logdir").rglob(_failed(folder).name)):
            for line in file.read_bytes().splitlines():
                key = line.split(None, 1)[0]
                if key in missing:
                    rows.setdefault(key, line)
        if rows:
            with atomic_write(_failed(folder), "wb") as f:
                f.writelines(rows[key] + b"\n" for key in sorted(rows))
        else:
            _failed(folder).unlink(missing_ok=True)
    count_failed(names, "translations")


def count_failed(names: Names, made: str) -> None:
    """Print how many utterances have no result.

    Args:
        names: Of the recipe.
        made: "retrieval" (stage 9) or "translations" (stage 12).

    Raises:
        ValueError: No utterance of a set has one.
    """
    result = "embed.scp" if made == "retrieval" else "text"
    for name, folder in _result_folders(names, made).items():
        if (folder / result).exists() and not has_content(folder / result):
            raise ValueError(
                f"no utterance of {name} has a result in {folder / result}: "
                f"see {_failed(folder)}"
            )
        if count := _failures(names, name, folder):
            print(f"Warning: {count} failed, see {_failed(folder)}", flush=True)


def _failures(names: Names, name: str, folder: Path) -> str:
    """Return how many utterances of a set have no result; "" for none."""
    if not has_content(_failed(folder)):
        return ""
    failed = len(_first_words(_failed(folder)))
    total = len(_first_words(Path(names.data_feats, name, "wav.scp")))
    return f"{failed} of {total} utterances of {name}"


def failures(names: Names) -> int:
    """Print what has no result after the stages of this call; return exit status."""
    folders: list[tuple[str, Path]] = []
    if names.runs(9) and names.makes_embeddings:
        folders += _result_folders(names, "retrieval").items()
    if (names.runs(12) or names.runs(13)) and not names.is_on("skip_eval"):
        folders += _result_folders(names, "translations").items()
    counts = {folder: _failures(names, name, folder) for name, folder in folders}
    if not any(counts.values()):
        return 0
    print(
        "Finished, but utterances have no result: mend or leave out what these files "
        "name, or pass --allow_missing true."
    )
    for folder, count in counts.items():
        if count:
            print(f"Error: {count} failed: {_failed(folder)}")
    return 1


def _first_words(path: Path) -> set[bytes]:
    """Return the ids of a file of lines `id value`."""
    return {s.split(None, 1)[0] for s in path.read_bytes().splitlines() if s.strip()}
