#!/usr/bin/env python3
"""Small trees in the layout of Europarl-ST v1.1.

``python europarl_st_tree.py FOLDER`` writes ``FOLDER/v1.1`` with three languages (de,
en, fr) and each fault of the corpus once; recordings are noise.
"""

import argparse
from pathlib import Path

RATE = 16_000  # samples/s
SECONDS = 3  # of each recording
LANGS = ("de", "en", "fr")


class Tree:
    """A copy of the corpus that is written line by line.

    Args:
        root: The folder v1.1.
    """

    def __init__(self, root):
        self.root = root

    def folder(self, direction, split):
        """The folder of a split; direction: de-en."""
        return self.root.joinpath(*direction.split("-"), split)

    def append(self, direction, split, name, line):
        """Append a line to a file of a split."""
        path = self.folder(direction, split) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="") as out:
            out.write(f"{line}\n")

    def replace(self, direction, split, name, old, new):
        """Replace what stands once in a file of a split."""
        path = self.folder(direction, split) / name
        content = path.read_text("utf-8")
        assert content.count(old) == 1
        path.write_text(content.replace(old, new), "utf-8")

    def speech(self, direction, split, speech, speaker="EUmember_1", audio=True):
        """Add a speech, and its recording if there is none."""
        import numpy as np
        import soundfile

        self.append(direction, split, "speeches.lst", speech)
        self.append(direction, split, "speakers.lst", speaker)
        path = self.root / direction[:2] / "audios" / f"{speech}.flac"
        if audio and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(len(list(path.parent.iterdir())))
            samples = rng.integers(-9999, 9999, SECONDS * RATE, dtype=np.int16)
            soundfile.write(path, samples, RATE)

    def segment(self, direction, split, speech, start, end, said=None, written=None):
        """Add a segment; its texts say where it comes from."""
        src, tgt = direction.split("-")
        if said is None:
            said = f"{src} {speech} {start}"
        if written is None:
            written = f"{tgt} of {src} {speech} {start}"
        self.append(direction, split, "segments.lst", f"{speech} {start} {end}")
        self.append(direction, split, f"segments.{src}", said)
        self.append(direction, split, f"segments.{tgt}", written)

    def add_faults(self, direction):
        """Add what training leaves out, and what a test set has mended."""
        train = (direction, "train", "train.1")
        self.segment(*train, 0.5, 1.25)  # duplicate
        self.segment(*train, 2.5, 2.75, said="")
        self.segment(*train, 2.5, 2.75, written="")
        self.segment(*train, 2.75, 2.5)  # impossible times
        self.segment(*train, 3.0, 3.5)  # outside the audio
        self.segment(*train, 2.5, 2.6)  # too short
        self.segment(direction, "test", "test.0", 2.5, 2.6)  # to be extended
        self.segment(direction, "test", "test.0", 2.5, 4.5)  # to be cut

    def to_m4a(self):
        """Turn the recordings into what the corpus has: AAC of 44.1 kHz, stereo."""
        for flac in sorted(self.root.glob("*/audios/*.flac")):
            write_m4a(flac, flac.with_suffix(".m4a"))
            flac.unlink()


def write_m4a(flac, target):
    """Write a recording as AAC of 44.1 kHz and two channels."""
    import av
    import numpy as np
    import soundfile

    samples, rate = soundfile.read(flac, dtype="float32")
    with av.open(target, "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="stereo")
        wave = np.stack([samples, samples])
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo")
        frame.sample_rate = rate
        for encoder_input in (frame, None):
            container.mux(stream.encode(encoder_input))


def directions(langs=LANGS):
    """All directions of some languages."""
    return [f"{src}-{tgt}" for src in langs for tgt in langs if src != tgt]


def fill(tree):
    """Add de, en and fr: in each direction 4 train, 1 noisy, 2 dev and 2 test segments.

    All directions of a language share its speeches and their times.
    """
    for direction in directions():
        for split, speeches in {
            "train": ("train.0", "train.1"),
            "train-noisy": ("noisy.0",),
            "dev": ("dev.0",),
            "test": ("test.0",),
        }.items():
            for number, speech in enumerate(speeches):
                tree.speech(direction, split, speech, f"EUmember_{number}")
                tree.segment(direction, split, speech, 0.5, 1.25)
                if split != "train-noisy":
                    tree.segment(direction, split, speech, 1.25, 2.5)


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="Gets a folder v1.1")
    folder = parser.parse_args().folder / "v1.1"
    if folder.exists():
        parser.error(f"{folder} is there already")
    tree = Tree(folder)
    fill(tree)
    tree.add_faults("de-en")
    tree.to_m4a()


if __name__ == "__main__":
    main()
