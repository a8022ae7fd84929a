#!/usr/bin/env python3
"""Translations of the study that need no training of ours: a system, ceiling, floors.

- ``whisper``: the transcript of Whisper's own decoder, by greedy search with the
  language given, becomes the English sentence nearest to it by the teacher.
- ``transcripts``: the same from the true transcripts, the teacher's ceiling.
- ``frequent``: the most frequent translation of the training set, for all utterances.
- ``random``: a translation of the training set, drawn by the seed.

A sentence is looked for among the translations of the training set, as a trained
decoder has no other ones, and by R@1 among the study's concepts, as the students'
embeddings are.
"""

import argparse
import collections
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from espnet_samu.bin import score_retrieval
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import (
    read_text,
    read_vectors,
    write_text,
    write_vectors,
)

DATA = Path("dump/raw")
TRANSCRIPTS, TRANSLATIONS = "text.tc.multi", "text.tc.en"
WINDOW = 8.0  # seconds, as in conf/train_samu.yaml
TASK = ("<|transcribe|>", "<|notimestamps|>")
MOST = 64  # tokens of a transcript
BATCH = 16


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (N, D) of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def transcribe(
    model: str, wavs: Mapping[str, str], langs: Mapping[str, str]
) -> dict[str, str]:
    """Return Whisper's own transcripts, by greedy search with the language given.

    Its decoder reads the whole window, silence included: from frames that are cut to
    the utterance it repeats itself.

    Args:
        model: Hub id or folder.
        wavs: Sound file by utterance.
        langs: Language by utterance.
    """
    import soundfile
    import torch
    from espnet_samu.frontend.samu import SamuFrontend
    from transformers import AutoTokenizer, GenerationMixin
    from transformers import WhisperForConditionalGeneration as Whisper
    from transformers.modeling_outputs import BaseModelOutput

    frontend = SamuFrontend(model=model, window_seconds=WINDOW, freeze=True).eval()
    whisper = Whisper.from_pretrained(model).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = tokenizer.convert_tokens_to_ids
    texts = {}
    order = sorted(wavs)
    for first in range(0, len(order), BATCH):
        utts = order[first : first + BATCH]
        sounds = (soundfile.read(wavs[utt], dtype="float32")[0] for utt in utts)
        waves = [torch.from_numpy(sound) for sound in sounds]
        lengths = torch.tensor([len(wave) for wave in waves])
        padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
        mel = frontend.family.features(frontend.model, padded, lengths)
        with torch.inference_mode():
            window = frontend.family.encode(frontend.model, mel, lengths)
        prompts = [
            ids(["<|startoftranscript|>", f"<|{langs[utt]}|>", *TASK]) for utt in utts
        ]
        found = GenerationMixin.generate(
            whisper,
            encoder_outputs=BaseModelOutput(window),
            decoder_input_ids=torch.tensor(prompts),
            max_new_tokens=MOST,
            do_sample=False,
            num_beams=1,
        )
        for utt, tokens in zip(utts, found[:, len(prompts[0]) :]):
            said = tokenizer.decode(tokens, skip_special_tokens=True)
            texts[utt] = " ".join(said.split())
    return texts


def nearest(
    vectors: Mapping[str, np.ndarray], sentences: Sequence[str], among: np.ndarray
) -> dict[str, str]:
    """Return the sentence that each vector is nearest to, by cosine.

    Args:
        vectors: Embedding (D,) by utterance.
        sentences: N sentences.
        among: Their embeddings (N, D).
    """
    found = (unit(np.stack([*vectors.values()])) @ unit(among).T).argmax(axis=1)
    return {utt: sentences[i] for utt, i in zip(vectors, found)}


def retrieve(folder: Path, dset: str, concepts: Path, teacher: Path) -> None:
    """Score the embeddings of a folder as those of a student are scored."""
    common = ["--query", str(folder / dset / "embed.scp"), "--projection", "none"]
    common += ["--query_lang", str(DATA / dset / "utt2lang")]
    own = ["--target", str(teacher / dset / "embed.scp")]
    own += ["--target_text", str(DATA / dset / TRANSCRIPTS)]
    score_retrieval.main([*common, *own, "--output_dir", str(folder / dset)])
    english = ["--query_text", str(DATA / dset / TRANSLATIONS)]
    english += ["--target", str(concepts / "embed.scp")]
    english += ["--target_text", str(concepts / "text")]
    output = ["--output_dir", str(folder / dset / "english")]
    score_retrieval.main([*common, *english, *output])


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command, in the folder of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    systems = "whisper transcripts frequent random".split()
    parser.add_argument("--system", choices=systems, required=True)
    parser.add_argument("--sets", type=str.split, help="Default: by the system")
    parser.add_argument("--train_set", default="train")
    parser.add_argument("--encoder", default="openai/whisper-base")
    parser.add_argument("--teacher", default="intfloat/multilingual-e5-small")
    parser.add_argument("--teacher_prompt", default="query: ")
    parser.add_argument(
        "--study",
        type=Path,
        default=Path("exp/study"),
        help="Has concepts (English sentences) and teacher_* (of transcripts)",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output_dir", type=Path, required=True)
    args = parser.parse_args(cmd)
    if args.system != "random":
        # Nothing is drawn: all seeds are the same.
        for done in args.output_dir.parent.glob("seed*/text"):
            shutil.copytree(done.parent, args.output_dir, dirs_exist_ok=True)
            return
    sets = args.sets or ["test_seen", "test_held", "test_voices"]
    if args.sets is None and args.system == "whisper":
        sets = sets[:1]  # a second of a core an utterance
    concepts = args.study / "concepts"
    known = read_text(DATA / args.train_set / TRANSLATIONS)
    sentences = sorted({*known.values()})
    utts = {utt: d for d in sets for utt in read_text(DATA / d / "utt2lang")}
    if args.system == "frequent":
        counts = collections.Counter(known.values())
        most = max(sorted(counts), key=counts.__getitem__)
        translations = dict.fromkeys(utts, most)
    elif args.system == "random":
        draw = random.Random(args.seed)
        translations = {utt: draw.choice([*known.values()]) for utt in sorted(utts)}
    else:
        (teacher_dir,) = args.study.glob("teacher_*")
        texts = read_text(concepts / "text")
        vectors = read_vectors(concepts / "embed.scp")
        by_text = {text: vectors[name] for name, text in texts.items()}
        among = np.stack([by_text[sentence] for sentence in sentences])
        teacher = None
        translations = {}
        for dset in sets:
            if args.system == "transcripts":
                queries = read_vectors(teacher_dir / dset / "embed.scp")
            else:
                said = transcribe(
                    args.encoder,
                    read_text(DATA / dset / "wav.scp"),
                    read_text(DATA / dset / "utt2lang"),
                )
                write_text(args.output_dir / dset / "transcripts", said)
                if teacher is None:
                    from espnet_samu.teacher.sentence_encoder import SentenceEncoder

                    teacher = SentenceEncoder(args.teacher, prompt=args.teacher_prompt)
                queries = dict(zip(said, teacher.encode([*said.values()])))
            write_vectors(args.output_dir / dset, queries.items())
            retrieve(args.output_dir, dset, concepts, teacher_dir)
            translations |= nearest(queries, sentences, among)
    write_text(args.output_dir / "text", dict(sorted(translations.items())))


if __name__ == "__main__":
    run(main)
