"""Frames of a frozen speech encoder, computed once and read again in every epoch."""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from espnet_samu.utils.waveform import UnusableWaveforms

DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}
# An entry of an index: which waveform, where its frames are, and their checksum.
_ENTRY = np.dtype(
    [("key", "S32"), ("start", "<u8"), ("n_frames", "<u4"), ("crc", "<u4")]
)

Compute = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class _Place(NamedTuple):
    """Where the frames of a waveform are."""

    file: int
    start: int
    n_frames: int
    crc: int


class FramesCache:
    """Frames of one encoder on disk, by the content of the waveform.

    Every process that trains appends to a pair of files of its own, ``*.frames`` and
    ``*.index``, and reads those of all others. Frames are written before their entry in
    the index, which has a checksum: what a killed process has half-written is computed
    again. Other audio has another key, and another encoder another folder.

    All frames are rounded to the type that is stored, those that were just computed
    too: a training does not depend on what was there before.

    Args:
        folder: Of this encoder; made if it is not there.
        size: Dimension D of the frames.
        dtype: float16, bfloat16 or float32.
        limit: Most bytes that this process may write.
    """

    def __init__(self, folder: Path, size: int, dtype: torch.dtype, limit: int):
        self.folder = folder
        self.size = size
        self.dtype = dtype
        self.limit = limit
        self.n_read = self.n_computed = 0
        self._files: list[int] = []
        self._places: dict[bytes, _Place] = {}
        # Of the other processes: number of the file, bytes of the index that were read.
        self._others: dict[Path, tuple[int, int]] = {}
        self._frames: Any = None
        self._index: Any = None
        folder.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def __len__(self) -> int:
        """Number of waveforms whose frames are there."""
        return len(self._places)

    def frames(
        self, compute: Compute, speech: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return frames (B, T, D), zero where padded, and their numbers (B,).

        Args:
            compute: Gives frames and numbers for some of the waveforms.
            speech: Waveforms (B, N).
            lengths: Samples (B,).

        Raises:
            UnusableWaveforms: As ``compute`` does; rows are those of the batch.
        """
        # Whole batches go to the host and back, not row by row.
        waveforms = speech.detach().float().cpu()
        keys = [_key(row[:n]) for row, n in zip(waveforms, lengths.tolist())]
        found: dict[bytes, torch.Tensor] = {}
        for key in dict.fromkeys(keys):
            there = self._read(key)
            if there is not None:
                found[key] = there
        missing = [i for i, key in enumerate(keys) if key not in found]
        # Of equal waveforms one is computed.
        missing = list({keys[i]: i for i in missing}.values())
        if missing:
            rows = torch.tensor(missing, device=speech.device)
            some, n_samples = speech[rows], lengths[rows.to(lengths.device)]
            try:
                frames, n_frames = compute(some[:, : int(n_samples.max())], n_samples)
            except UnusableWaveforms as error:
                # Rows of the batch, not of those that are computed.
                reasons = {missing[row]: why for row, why in error.reasons.items()}
                raise UnusableWaveforms(reasons) from None
            rounded = frames.to(self.dtype).cpu()
            for i, row, n in zip(missing, rounded, n_frames.tolist()):
                found[keys[i]] = row[:n]
            self._write({keys[i]: found[keys[i]] for i in missing})
        self.n_computed += len(missing)
        self.n_read += len(keys) - len(missing)
        all_rows = [found[key] for key in keys]
        numbers = torch.tensor([len(row) for row in all_rows], device=speech.device)
        padded = torch.nn.utils.rnn.pad_sequence(all_rows, batch_first=True)
        return padded.to(speech.device).float(), numbers

    def refresh(self) -> None:
        """Read what other processes have written since the last call."""
        own = None if self._index is None else Path(self._index.name)
        for index in sorted(self.folder.glob("*.index")):
            if index != own:
                self._read_index(index)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            os.close(file)
        for file in (self._frames, self._index):
            if file is not None:
                file.close()
        self._files, self._places, self._others = [], {}, {}
        self._frames = self._index = None

    def _read_index(self, path: Path) -> None:
        try:
            if path not in self._others:
                self._files.append(os.open(path.with_suffix(".frames"), os.O_RDONLY))
                self._others[path] = len(self._files) - 1, 0
            file, n_read = self._others[path]
            with path.open("rb") as index:
                index.seek(n_read)
                content = index.read()
        except OSError as error:
            logging.warning(f"{path} is not used: {error}")
            return
        entries = np.frombuffer(content, _ENTRY, len(content) // _ENTRY.itemsize)
        self._others[path] = file, n_read + entries.nbytes
        size = os.fstat(self._files[file]).st_size
        key: Any
        for key, start, n_frames, crc in entries.tolist():
            if start + self._bytes(n_frames) <= size:
                self._places[key] = _Place(file, start, n_frames, crc)

    def _bytes(self, n_frames: int) -> int:
        return n_frames * self.size * self.dtype.itemsize

    def _read(self, key: bytes) -> torch.Tensor | None:
        """Return the frames (T, D) of a waveform, None if they are not there."""
        place = self._places.get(key)
        if place is None:
            return None
        size = self._bytes(place.n_frames)
        content = os.pread(self._files[place.file], size, place.start)
        if zlib.crc32(content) != place.crc:
            logging.warning(f"{self.folder}: frames are damaged, and computed again")
            del self._places[key]
            return None
        flat = torch.frombuffer(bytearray(content), dtype=self.dtype)
        return flat.view(place.n_frames, self.size)

    def _write(self, rows: dict[bytes, torch.Tensor]) -> None:
        """Append frames, as far as there is room."""
        for key, row in rows.items():
            if self._bytes(len(row)) > self.limit:
                continue
            if not row.isfinite().all():
                logging.warning(
                    f"{self.folder}: frames are beyond the range of {self.dtype}, and "
                    "are not kept; set frames_cache_dtype to bfloat16"
                )
                continue
            content = row.contiguous().view(torch.uint8).numpy().tobytes()
            try:
                self._append(key, content, len(row))
            except OSError as error:
                logging.warning(
                    f"{self.folder}: no more frames are kept, the rest is computed in "
                    f"every epoch: {error}"
                )
                self.limit = 0

    def _append(self, key: bytes, content: bytes, n_frames: int) -> None:
        if self._frames is None:
            name = f"{os.getpid()}-{os.urandom(4).hex()}"
            self._frames = open(self.folder / f"{name}.frames", "ab", buffering=0)
            self._index = open(self.folder / f"{name}.index", "ab", buffering=0)
            self._files.append(os.open(self._frames.name, os.O_RDONLY))
            self._own = len(self._files) - 1
        start = self._frames.tell()
        if self._frames.write(content) != len(content):
            raise OSError("no space left on the disk")
        self.limit -= len(content)
        place = _Place(self._own, start, n_frames, zlib.crc32(content))
        entry = np.array([(key, start, n_frames, place.crc)], _ENTRY)
        if self._index.write(entry.tobytes()) != _ENTRY.itemsize:
            raise OSError("no space left on the disk")
        self._places[key] = place


def _key(waveform: torch.Tensor) -> bytes:
    """Return a hash of a waveform (N,) on the host, 32 hexadecimal digits."""
    samples = waveform.contiguous().numpy()
    return hashlib.blake2b(samples.data, digest_size=16).hexdigest().encode()


def fingerprint(module: torch.nn.Module, settings: dict[str, Any]) -> str:
    """Return a hash of an encoder: what decides its frames.

    Args:
        module: Its weights.
        settings: What else decides them, as plain data.
    """
    total = hashlib.blake2b(digest_size=16)
    total.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, value in sorted(module.state_dict().items()):
        total.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        total.update(data.numpy().data)
    return total.hexdigest()


def used_bytes(root: Path) -> int:
    """Return the size of the frames of all encoders below a folder."""
    return sum(path.stat().st_size for path in root.glob("*/*.frames"))
