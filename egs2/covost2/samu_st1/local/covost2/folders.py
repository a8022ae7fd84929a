"""Where Common Voice's languages and CoVoST-2's translations are."""

from __future__ import annotations

from pathlib import Path

from covost2.scenarios import Direction
from covost2.tsv import ARCHIVE

COMMONVOICE = (
    "--commonvoice, or as COMMONVOICE in the environment or db.sh; it must be release "
    "4 (cv-corpus-4-2019-12-10)"
)


class CommonVoice:
    """Language folders of a Common Voice release.

    Args:
        folder: Holds ``<lang>/validated.tsv`` and ``<lang>/clips/``, itself or in one
            folder of the release's name (``cv-corpus-4-2019-12-10``).
        setting: What it is named by, for messages.

    Raises:
        ValueError: There is no such folder.
    """

    def __init__(self, folder: Path, setting: str = COMMONVOICE) -> None:
        if not folder.is_dir():
            raise ValueError(
                f"Common Voice: no folder '{folder}'; name the one with <lang>/"
                f"validated.tsv and <lang>/clips/ by {setting}"
            )
        self.folder = folder
        self.setting = setting

    def find(self, lang: str) -> Path | None:
        """Return the folder of a language, or None.

        Raises:
            ValueError: There are several.
        """
        places = [self.folder, *sorted(self.folder.glob("cv-corpus-*"))]
        found = [p / lang for p in places if (p / lang / "validated.tsv").is_file()]
        if len(found) > 1:
            listed = " and ".join(map(str, found))
            raise ValueError(
                f"Common Voice: '{lang}' is in {listed}; give the folder of one "
                f"release by {self.setting}"
            )
        return found[0] if found else None

    def language(self, lang: str) -> Path:
        """Return the folder of a language.

        Raises:
            ValueError: It is not there.
        """
        found = self.find(lang)
        if found is None:
            raise ValueError(
                f"Common Voice: no {self.folder}/{lang}/validated.tsv; unpack "
                f"'{lang}' of release 4 there, leave it out (--langs), or name another "
                f"folder by {self.setting}"
            )
        return found


def find_translations(
    covost2: Path, common_voice: CommonVoice, direction: Direction
) -> Path | None:
    """Find a file of translations.

    It is looked for in CoVoST-2's folder, in its folder of the source language and
    beside Common Voice's ``validated.tsv``; unpacked or as an archive.
    """
    places = [covost2, covost2 / direction.source]
    language = common_voice.find(direction.source)
    if language is not None:
        places.append(language)
    for place in places:
        for name in (direction.file, direction.file + ARCHIVE):
            if (place / name).is_file():
                return place / name
    return None


def translations(
    covost2: Path, common_voice: CommonVoice, direction: Direction
) -> Path:
    """Return a file of translations.

    Raises:
        ValueError: It is not there.
    """
    found = find_translations(covost2, common_voice, direction)
    if found is None:
        raise ValueError(
            f"CoVoST-2: no {direction.file} (or {ARCHIVE}) in {covost2}, "
            f"{covost2 / direction.source} or beside Common Voice's validated.tsv; "
            f"get it, leave '{direction.name}' out (--langs), or name another folder "
            "by --covost2, or as COVOST2 in the environment or db.sh"
        )
    return found
