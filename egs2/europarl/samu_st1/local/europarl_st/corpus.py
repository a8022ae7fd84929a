"""The corpus: its directions, and which split a speech belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from europarl_st.corpus_error import CorpusError
from europarl_st.plan import LANGUAGES, Direction
from europarl_st.segment import Segment
from europarl_st.split_reader import UNPACK, SplitReader

# From training to what must be kept apart most.
SPLITS = ("train", "dev", "test")


class Corpus:
    """A copy of Europarl-ST v1.1.

    Args:
        root: The folder that holds ``<src>/audios``.
        with_noisy: Whether train-noisy, of which its authors trust the alignment
            less, belongs to the training sets.
    """

    def __init__(self, root: Path, with_noisy: bool = False) -> None:
        self.root = root
        self.folders = {
            "train": ("train", "train-noisy") if with_noisy else ("train",),
            "dev": ("dev",),
            "test": ("test",),
        }
        self.segments = cache(self._segments)

    def directions(self, src_langs: Iterable[str]) -> list[Direction]:
        """All directions that this copy has for languages spoken.

        Raises:
            ValueError: A language has none.
        """
        found = []
        for src in src_langs:
            targets = [t for t in LANGUAGES if (self.root / src / t).is_dir()]
            if not targets:
                raise ValueError(
                    f"{self.root}/{src} holds no direction such as {src}/"
                    f"{'de' if src == 'en' else 'en'}; {UNPACK}, or leave {src} out of "
                    "--src_langs and --samu_langs"
                )
            found += [(src, tgt) for tgt in targets]
        return found

    def _segments(self, src: str, tgt: str, split: str) -> tuple[Segment, ...]:
        """Segments of a direction, faulty ones too."""
        return tuple(
            segment
            for folder in self.folders[split]
            for segment in SplitReader(self.root, src, tgt, folder).read()
        )

    def speeches(self, src: str, tgt: str, split: str) -> Iterator[tuple[str, Path]]:
        """Speeches of a direction, each with the folder that lists it."""
        for name in self.folders[split]:
            reader = SplitReader(self.root, src, tgt, name)
            for speech in reader.speakers():
                yield speech, reader.folder

    def split_of(self, directions: Sequence[Direction]) -> dict[tuple[str, str], str]:
        """Split of each speech, by language spoken and speech id.

        Each direction has splits of its own. A speech that is held out in one of the
        directions must not be trained on in another: it belongs to the last of train,
        dev and test that it is in.

        Raises:
            CorpusError: A speech is in two splits of one direction.
        """
        strictest: dict[tuple[str, str], str] = {}
        for src, tgt in directions:
            here: dict[str, str] = {}
            for split in SPLITS:
                for speech, folder in self.speeches(src, tgt, split):
                    if here.setdefault(speech, split) != split:
                        path = folder / "speeches.lst"
                        lines = path.read_text("utf-8-sig").split("\n")
                        stripped = [line.strip() for line in lines]
                        raise CorpusError(
                            path,
                            stripped.index(speech) + 1,
                            f"speech '{speech}' is in {here[speech]}, too",
                            f"take it out of one of them, or {UNPACK}",
                        )
                    known = strictest.get((src, speech), split)
                    strictest[src, speech] = max(known, split, key=SPLITS.index)
        return strictest
