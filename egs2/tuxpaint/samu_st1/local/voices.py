#!/usr/bin/env python3
"""Manifest of other readers: whole telephone prompts of the recipe mini_asterisk.

Each was recorded in Spanish, French, Italian and Russian by a reader whom no training
has heard. What they say is in no training, either.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from espnet_samu.utils.command import run
from stamps import COLUMNS, write


def read_prompts(path: Path) -> dict[str, dict[str, str]]:
    """Return the packaged text of every prompt, by language and name.

    Args:
        path: prompt_list.tsv of mini_asterisk.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = (line for line in lines if not line.startswith("#"))
    texts: dict[str, dict[str, str]] = {}
    options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    for row in csv.DictReader(rows, **options):
        text = " ".join(row["packaged"].split())
        name = row["unit"].replace("/", "_")
        texts.setdefault(row["language"], {})[name] = text
    return texts


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=Path, required=True, help="Unpacked folder")
    parser.add_argument("--prompt_list", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="Manifest")
    args = parser.parse_args(cmd)
    texts = read_prompts(args.prompt_list)
    english = texts.pop("en")
    rows = []
    for language, own in texts.items():
        for audio in sorted(args.prompts.glob(f"audio/{language}/*/*.ogg")):
            name = audio.stem
            rows.append(
                {
                    "id": f"{language}_voice_{name.replace('-', '_')}",
                    "audio": str(audio.resolve()),
                    "language": language,
                    "transcript": own[name],
                    "translation": english[name],
                    "target_language": "en",
                    "speaker": audio.parent.name,
                }
            )
    if not rows:
        raise ValueError(f"{args.prompts} has no audio/<language>/<reader>/*.ogg")
    write(args.output, COLUMNS, rows)
    print(f"{args.output.stem}: {len(rows)} utterances ({' '.join(texts)})")


if __name__ == "__main__":
    run(main)
