#!/usr/bin/env python3
"""Serve a page on this machine that translates recordings."""

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from espnet2.utils.types import str_or_none

from espnet_samu.corpora.audio import read_speech
from espnet_samu.speech2embedding import Speech2Embedding
from espnet_samu.speech2text import Speech2Text
from espnet_samu.teacher.sentence_encoder import SentenceEncoder
from espnet_samu.utils.command import run

if TYPE_CHECKING:
    import gradio

NEAREST = 5
"""Sentences that are shown."""


class Sentences:
    """Sentences in the space of a student's embeddings.

    Args:
        student: Embeds speech.
        teacher: Of the student's distillation; embeds the sentences.
        texts: The sentences.

    Raises:
        ValueError: The teacher is of another space than the student.
    """

    def __init__(
        self, student: Speech2Embedding, teacher: SentenceEncoder, texts: Sequence[str]
    ) -> None:
        size = student.samu_model.projector.output_size()
        if size != teacher.dimension:
            raise ValueError(
                f"--student has embeddings of {size} numbers, --teacher {teacher.name} "
                f"of {teacher.dimension}: name the teacher of its distillation"
            )
        self.student = student
        self.texts = texts
        self.vectors = teacher.encode(texts)

    def nearest(self, speech: np.ndarray) -> list[tuple[str, float]]:
        """Return the nearest sentences with their cosines, the nearest first.

        Args:
            speech: Waveform (N,) at 16 kHz.
        """
        cosines = self.vectors @ self.student(speech).float().numpy()
        order = np.argsort(-cosines, kind="stable")[:NEAREST]
        return [(self.texts[i], float(cosines[i])) for i in order]


class Translator:
    """What the page does with a recording.

    Args:
        speech2text: The translation model.
        sentences: To find the nearest ones in; None: there are none.
    """

    def __init__(
        self, speech2text: Speech2Text, sentences: Sentences | None = None
    ) -> None:
        self.speech2text = speech2text
        self.sentences = sentences

    @property
    def languages(self) -> list[str]:
        """Target languages to choose from; none where the model has one alone."""
        languages = self.speech2text.languages
        return [*languages.known.codes] if languages.has_tokens else []

    def translate(
        self, path: str | None, tgt_lang: str | None = None
    ) -> tuple[str, str, list[tuple[str, float]]]:
        """Translate a recording.

        Args:
            path: Sound file; None: nothing was recorded.
            tgt_lang: Target language; None: the model's own.

        Returns:
            Translation; its score in words; nearest sentences with their cosines.

        Raises:
            ValueError: The recording cannot be used.
        """
        if path is None:
            raise ValueError("Record something or choose a file first")
        samples = read_speech(path)
        best = self.speech2text(samples, tgt_lang)[0]
        nearest = self.sentences.nearest(samples) if self.sentences else []
        return best.text, f"log-probability {best.score:.2f}", nearest


def build_page(translator: Translator) -> "gradio.Blocks":
    """Return the page.

    Raises:
        ImportError: gradio is not installed.
    """
    # Before the import, which would ask for the newest version.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise ImportError(
            f"{error}: the page needs gradio; run: pip install 'espnet_samu[demo]'"
        ) from None

    def answer(path: str | None, tgt_lang: str | None) -> tuple[Any, ...]:
        try:
            text, score, nearest = translator.translate(path, tgt_lang)
        except ValueError as error:
            raise gradio.Error(str(error), print_exception=False) from error
        rows = [[sentence, f"{cosine:.3f}"] for sentence, cosine in nearest]
        return text, score, *([rows] if translator.sentences else [])

    with gradio.Blocks(analytics_enabled=False, title="Speech translation") as page:
        gradio.Markdown("# Speech translation")
        recording = gradio.Audio(
            sources=["upload", "microphone"],
            type="filepath",
            label="Speech",
            buttons=["download"],  # not "share", which sends it to the hub
        )
        default = translator.speech2text.languages.default
        languages = translator.languages
        language = gradio.Dropdown(
            choices=languages,
            value=default if default in languages else next(iter(languages), None),
            label="Target language",
            visible=len(languages) > 1,
        )
        button = gradio.Button("Translate", variant="primary")
        text = gradio.Textbox(label="Translation")
        score = gradio.Textbox(label="Score")
        outputs: list[Any] = [text, score]
        if translator.sentences:
            outputs.append(
                gradio.Dataframe(
                    headers=["sentence", "cosine"],
                    label="Nearest sentences",
                    interactive=False,
                    wrap=True,
                )
            )
        button.click(answer, [recording, language], outputs, api_name="translate")
    return page


def launch(page: "gradio.Blocks", port: int | None, wait: bool = True) -> str:
    """Serve the page to this machine alone.

    Args:
        page: From :func:`build_page`.
        port: Port; None: the first free one from 7860 on.
        wait: Whether to return when it was stopped, not when it has begun.

    Returns:
        Its address.
    """
    import gradio

    _, address, _ = page.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        quiet=True,
        footer_links=[],
        # Fonts of the system: no other machine is asked for one.
        theme=gradio.themes.Default(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        prevent_thread_lock=True,
    )
    logging.info(f"The page is at {address} (Ctrl-C ends it)")
    if wait:
        page.block_thread()
    return address


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Serve a page, on this machine alone, that translates what the "
        "microphone records or a sound file holds",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--model",
        required=True,
        help="Translation model: pack of stage 14 (zip file or folder), its tag on the "
        "hub, or a checkpoint (.pth) with config.yaml beside it",
    )
    parser.add_argument("--beam_size", type=int, default=5, help="Hypotheses a step")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument(
        "--port",
        type=int,
        default=None,
        help="Port of the page; default: the first free one from 7860 on",
    )
    group = parser.add_argument_group("nearest sentences, needed together")
    group.add_argument(
        "--student",
        type=str_or_none,
        default=None,
        help="Student: folder of samu_export, its zip file or tag, or a checkpoint",
    )
    group.add_argument(
        "--teacher",
        type=str_or_none,
        default=None,
        help="Its teacher, hub id or folder, which embeds the sentences",
    )
    group.add_argument(
        "--sentences", type=str_or_none, default=None, help="Text file, one a line"
    )
    return parser


def _model_options(kind: str, name: str) -> dict[str, str]:
    """Return the option of ``from_pretrained`` for a checkpoint or a pack."""
    return {f"{kind}_model_file" if name.endswith(".pth") else "model_tag": name}


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = get_parser()
    args = parser.parse_args(cmd)
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    together = ("student", "teacher", "sentences")
    missing = [f"--{name}" for name in together if getattr(args, name) is None]
    if 0 < len(missing) < len(together):
        parser.error(f"nearest sentences need {' and '.join(missing)}, too")
    speech2text = Speech2Text.from_pretrained(
        **_model_options("st", args.model), device=args.device, beam_size=args.beam_size
    )
    sentences = None
    if not missing:
        lines = Path(args.sentences).read_text(encoding="utf-8").splitlines()
        texts = [line.strip() for line in lines if line.strip()]
        if not texts:
            raise ValueError(f"--sentences {args.sentences}: the file has no sentence")
        student = Speech2Embedding.from_pretrained(
            **_model_options("samu", args.student), device=args.device
        )
        teacher = SentenceEncoder(args.teacher, device=args.device)
        sentences = Sentences(student, teacher, texts)
    launch(build_page(Translator(speech2text, sentences)), args.port)


if __name__ == "__main__":
    run(main)
