"""The recordings of the interventions: where they are, how long, how to read them."""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterable

import soundfile
from europarl_st.corpus_error import CorpusError
from europarl_st.segment import Segment

from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.progress import progress

RATE = 16_000  # samples/s
# Of several files of a speech the first is taken: whoever has converted the corpus
# can do without ffmpeg.
SUFFIXES = (".flac", ".wav", ".ogg", ".m4a")
DECODE = f"ffmpeg -nostdin -loglevel error -i {{}} -ar {RATE} -ac 1 -f wav - |"


class Recordings:
    """The audio of the speeches that are needed.

    libsndfile does not read AAC. So ``wav.scp`` pipes the corpus's ``.m4a`` through
    ffmpeg, which also mixes down and resamples; ESPnet's stage 3 decodes each
    recording once in a job and cuts the segments out. Files of 16 kHz and one channel
    that libsndfile reads are named as they are.

    Args:
        root: The folder that holds ``<src>/audios``.
        cache: File that remembers durations: asking ffprobe takes a process a file.
        jobs: Threads.
    """

    def __init__(self, root: Path, cache: Path, jobs: int = 1) -> None:
        self.root = root
        self.cache = cache
        self.jobs = jobs
        self.milliseconds: dict[str, int] = {}
        self.entries: dict[str, str] = {}

    def find(self, segments: Iterable[Segment]) -> None:
        """Find the recordings of segments, which fills ``milliseconds``, ``entries``.

        Raises:
            CorpusError: Speeches without audio, or audio that cannot be read.
            ValueError: ffmpeg is missing.
        """
        paths: dict[str, Path] = {}
        missing: dict[str, Segment] = {}
        listings: dict[str, set[str]] = {}
        for segment in segments:
            if segment.recording in paths or segment.recording in missing:
                continue
            folder = self.root / segment.src / "audios"
            if segment.src not in listings:
                found = folder.iterdir() if folder.is_dir() else ()
                listings[segment.src] = {path.name for path in found}
            for suffix in SUFFIXES:
                if f"{segment.speech}{suffix}" in listings[segment.src]:
                    name = f"{segment.speech}{suffix}"
                    paths[segment.recording] = (folder / name).absolute()
                    break
            else:
                missing[segment.recording] = segment
        if missing:
            first = next(iter(missing.values()))
            more = f" ({len(missing)} speeches have none)" if len(missing) > 1 else ""
            raise CorpusError(
                first.lst(self.root),
                first.line,
                f"no audio: {first.src}/audios/{first.speech}.m4a is missing{more}",
                f"unpack it, or put a {', '.join(SUFFIXES[:-1])} there",
            )
        self._probe(paths)

    def _probe(self, paths: dict[str, Path]) -> None:
        """Fill ``milliseconds`` and ``entries``, from the cache as far as it goes."""
        known = self._read_cache()
        keys = {path: self._key(path) for path in paths.values()}
        new = [path for path in paths.values() if keys[path] not in known]
        if any(path.suffix == ".m4a" for path in paths.values()):
            need("ffmpeg", "ffprobe")
        if new:
            logging.info(
                f"asking {len(new)} of {len(paths)} recordings for their durations"
            )
        try:
            with ThreadPoolExecutor(self.jobs) as pool:
                found = progress(pool.map(probe, new), len(new), "recordings")
                for path, answer in zip(new, found):
                    known[keys[path]] = answer
        finally:
            if new:
                self._write_cache(known)
        for recording, path in paths.items():
            milliseconds, is_plain = known[keys[path]]
            if not is_plain:
                need("ffmpeg")
            quoted = shlex.quote(str(path))
            self.milliseconds[recording] = milliseconds
            self.entries[recording] = str(path) if is_plain else DECODE.format(quoted)

    @staticmethod
    def _key(path: Path) -> str:
        """What a changed file does not share with the old one."""
        stat = path.stat()
        return f"{path}\t{stat.st_size}\t{stat.st_mtime_ns}"

    def _read_cache(self) -> dict[str, tuple[int, bool]]:
        known: dict[str, tuple[int, bool]] = {}
        if self.cache.exists():
            for line in self.cache.read_text("utf-8").split("\n")[:-1]:
                key, milliseconds, is_plain = line.rsplit("\t", 2)
                known[key] = int(milliseconds), is_plain == "True"
        return known

    def _write_cache(self, known: dict[str, tuple[int, bool]]) -> None:
        with atomic_write(self.cache) as out:
            for key, (milliseconds, is_plain) in known.items():
                out.write(f"{key}\t{milliseconds}\t{is_plain}\n")


def need(*tools: str) -> None:
    """See that ffmpeg's programs are there.

    Raises:
        ValueError: Saying how to get them.
    """
    for tool in tools:
        if shutil.which(tool) is None:
            raise ValueError(
                f"{tool} is missing: libsndfile does not read the corpus's m4a (AAC). "
                "Run: apt-get install ffmpeg (without root: conda install -c "
                "conda-forge ffmpeg)"
            )


def probe(path: Path) -> tuple[int, bool]:
    """Duration in milliseconds, and whether it is read without ffmpeg.

    Raises:
        CorpusError: The file cannot be read or holds nothing.
    """
    problem, seconds, is_plain = "it holds nothing", 0.0, False
    try:
        if path.suffix == ".m4a":
            seconds = float(_ffprobe(path))
        else:
            info = soundfile.info(path)
            seconds = info.frames / info.samplerate
            is_plain = (info.samplerate, info.channels) == (RATE, 1)
    except (ValueError, subprocess.CalledProcessError, soundfile.SoundFileError) as e:
        detail = getattr(e, "stderr", None) or str(e)
        problem = f"it cannot be read ({detail.strip().splitlines()[-1]})"
    if not seconds > 0:
        raise CorpusError(path, 1, problem, "unpack it again")
    return int(seconds * 1000), is_plain


def _ffprobe(path: Path) -> str:
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration"]
    command += ["-of", "csv=p=0", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout
