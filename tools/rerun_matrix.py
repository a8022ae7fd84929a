#!/usr/bin/env python3
"""Change something in a finished recipe, run each later stage alone, print a table.

The mini recipe at its smallest size. Every cell must be what a clean run makes, made
again, or refused by name; anything else is marked, and the exit status is 1. Stages
before the first one that a change concerns (-) do not run.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPE = Path("egs2", "mini_asterisk", "samu_st1")
STAGES = (7, 8, 9, 10, 11, 12, 13, 14)
OPTIONS = {
    "--baseline": "false",
    "--local_data_opts": "--train_per_lang 40 --dev_per_lang 6 --test_per_lang 6 "
    "--bitext_contents 200",
    "--teacher_args": "--updates 20",
    "--tgt_nbpe": "60",
    "--test_sets": "test",
    "--skip_packing": "false",
}
"""Of every call of run.sh."""
SIZES = {"max_epoch": 1, "num_iters_per_epoch": 2, "batch_bins": 200000}
REFUSED = (
    "was (made|trained) from something else",
    "cannot be resumed with options other than",
    "these options would not be used",
    "is missing: run stage",
)
"""In messages that name what differs, or what has to be made first."""
EXP = "exp/st_train_st_raw_multi_en"
STUDENT = "exp/samu_train_samu_raw"
DECODED = f"{EXP}/decode_st_valid.acc.best"


@dataclass(frozen=True)
class Change:
    """Something that is changed after all stages have run.

    Attributes:
        first: First stage whose result it changes.
        apply: Makes it, in the folder of the recipe.
        options: Of run.sh, instead of its others.
        remade: Stages that make again what has changed, and go on.
        harmless: Whether it changes no result, so that every stage must run.
    """

    first: int
    apply: Callable[[], object] = lambda: None
    options: Mapping[str, str] = field(default_factory=dict)
    remade: tuple[int, ...] = ()
    harmless: bool = False


def replace(path: str, old: str, new: str) -> None:
    """Replace a regular expression in all lines of a file."""
    text = Path(path).read_text(encoding="utf-8")
    changed = re.sub(old, new, text, flags=re.MULTILINE)
    if changed == text:
        raise ValueError(f"{path} has no {old}")
    Path(path).write_text(changed, encoding="utf-8")


def first_clip(name: str) -> Path:
    """Return the first recording of a set."""
    with open(f"data/{name}/wav.scp", encoding="utf-8") as lines:
        return Path(next(lines).split()[1])


def overwrite(older: bool) -> None:
    """Replace a recording by another one, perhaps of an older time."""
    clip = first_clip("samu_train")
    with open("data/samu_train/wav.scp", encoding="utf-8") as lines:
        others = [Path(line.split()[1]) for line in lines]
    other = next(o for o in others if o.stat().st_size != clip.stat().st_size)
    shutil.copyfile(other, clip)
    if older:
        os.utime(clip, ns=(1, 1))


def append(path: str) -> None:
    """Change a file of weights in a place that loading does not read."""
    with open(path, "ab") as file:
        file.write(b"\0")


CHANGES = {
    "audio in place": Change(7, lambda: overwrite(False)),
    "audio, older": Change(7, lambda: overwrite(True)),
    "transcripts": Change(
        7, lambda: replace("data/samu_train/text.tc.multi", " .*$", r"\g<0> oui")
    ),
    "transcripts taken out": Change(
        7, lambda: Path("data/samu_train/text.tc.multi").unlink()
    ),
    "translations": Change(
        10, lambda: replace("data/train/text.tc.en", " .*$", r"\g<0> now")
    ),
    "references": Change(
        10, lambda: replace("data/test/text.tc.en", " .*$", r"\g<0> now")
    ),
    "language": Change(7, lambda: replace("data/test/utt2lang", "ru$", "uk")),
    "set name": Change(8, options={"--samu_train_set": "train"}, remade=(7,)),
    "teacher": Change(
        7,
        lambda: (
            replace("exp/teacher_small/model/README.md", "^", "x")
            if Path("exp/teacher_small/model/README.md").exists()
            else append("exp/teacher_small/model/teacher.json")
        ),
    ),
    "student": Change(11, lambda: append(f"{STUDENT}/valid.cos_right.best.pth")),
    "token list, equal size": Change(
        11,
        lambda: replace(
            "data/multi_en_token_list/tgt_bpe_unigram60/tokens.txt",
            r"\A(.*)\n(.*)\n(.*)\n(.*)\n",
            r"\1\n\2\n\4\n\3\n",
        ),
    ),
    "token list, other size": Change(
        11,
        lambda: append("data/multi_en_token_list/tgt_bpe_unigram60/bpe.model"),
    ),
    "encoder": Change(
        8,
        lambda: replace(
            "conf/train_samu.yaml", "num_hidden_layers: .*", "num_hidden_layers: 1"
        ),
    ),
    "option of the translation": Change(
        11, lambda: replace("conf/train_st.yaml", "lsm_weight: .*", "lsm_weight: 0.2")
    ),
    "model": Change(13, lambda: append(f"{EXP}/valid.acc.best.pth")),
    "beam": Change(
        13,
        lambda: replace("conf/decode_st.yaml", r"\Z", "\nbeam_size: 2\n"),
        remade=(12,),
    ),
    "translations of the test": Change(
        14, lambda: replace(f"{DECODED}/test/text", "$", " now"), remade=(12, 13)
    ),
    "comment, ngpu": Change(
        7,
        lambda: replace("conf/train_st.yaml", r"\Z", "\n# a comment\nngpu: 0\n"),
        harmless=True,
    ),
}


def copy_recipe(folder: Path) -> Path:
    """Copy the recipe at its smallest size; return where it is."""
    recipe = folder / RECIPE
    made = shutil.ignore_patterns("data", "dump", "exp", "downloads")
    shutil.copytree(ROOT / RECIPE, recipe, symlinks=True, ignore=made)
    (folder / "tools").symlink_to(ROOT / "tools")
    (folder / "egs2" / "TEMPLATE").symlink_to(ROOT / "egs2" / "TEMPLATE")
    for path in (recipe / "conf").rglob("train_*.yaml"):
        text = path.read_text(encoding="utf-8")
        for name, value in SIZES.items():
            text = re.sub(f"^{name}: .*", f"{name}: {value}", text, flags=re.MULTILINE)
        path.write_text(text, encoding="utf-8")
    return recipe


def call(recipe: Path, options: Mapping[str, str], *stages: int) -> tuple[int, str]:
    """Run stages of the recipe; return status and output."""
    command = ["./run.sh", "--stage", str(stages[0]), "--stop_stage", str(stages[-1])]
    for pair in {**OPTIONS, **options}.items():
        command += pair
    result = subprocess.run(
        command,
        cwd=recipe,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, result.stdout


def outcome(change: Change, stage: int, status: int, output: str) -> tuple[str, bool]:
    """Return what became of a stage, and whether it may.

    Args:
        change: What was changed.
        stage: The stage that ran alone.
        status: Its exit status.
        output: What it printed.
    """
    refused = re.search(f"Error: .*({'|'.join(REFUSED)})", output)
    if status != 0:
        return ("refused" if refused else "failed"), bool(
            refused and not change.harmless
        )
    if "is made again: " in output or stage in change.remade:
        return "made again", not change.harmless
    return "as a clean run", change.harmless


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", nargs="*", choices=CHANGES, default=[*CHANGES])
    parser.add_argument("--stages", nargs="*", type=int, default=[*STAGES])
    parser.add_argument("--work", type=Path, help="Kept, and used again if it is there")
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp())
    try:
        recipe = work / "made" / RECIPE
        if not recipe.exists():
            recipe = copy_recipe(work / "made")
            status, output = call(recipe, {}, 1, 14)
            if status != 0:
                print(output)
                return 1
        wrong = 0
        print(f"| changed | {' | '.join(map(str, args.stages))} |")
        print("| --- |" + " --- |" * len(args.stages), flush=True)
        for name in args.changes:
            change, cells = CHANGES[name], []
            for stage in args.stages:
                if stage < change.first:
                    cells.append("-")
                    continue
                copy = work / "changed"
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(work / "made", copy, symlinks=True)
                os.chdir(copy / RECIPE)
                change.apply()
                status, output = call(Path(), change.options, stage)
                cell, right = outcome(change, stage, status, output)
                cells.append(cell if right else f"**{cell}**")
                if not right:
                    wrong += 1
                    print(f"{name}, stage {stage}:\n{output}", file=sys.stderr)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        print(f"{wrong} cells are wrong")
        return int(wrong > 0)
    finally:
        os.chdir(ROOT)
        if args.work is None:
            shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
