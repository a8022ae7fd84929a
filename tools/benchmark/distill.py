#!/usr/bin/env python3
"""A step of distillation: the teacher's vectors read, or the teacher in the loop.

(a) ours: sentence embeddings come with the data, pooling leaves padding out, the loss
    is one expression over the batch.
(b) in the loop: the teacher embeds the batch's sentences in every step, the encoder
    gets no lengths, pooling covers padding, the loss is summed utterance by utterance
    in Python: the way of SpeechBrain's SAMU recipes, written from their description.

Student, audio, optimiser and batch are the same. All weights are random; the teacher
has LaBSE's size (12 layers, 768-d, 501,153 tokens). Tokenisation is left out of (b).
"""

import argparse
import subprocess
import sys

import torch
from full_size import assemble_student
from report import peak_memory, print_report, time_pairwise

W2V_BERT = dict(
    model_type="wav2vec2-bert",
    position_embeddings_type="relative_key",
    left_max_position_embeddings=32,
    right_max_position_embeddings=8,
    layerdrop=0.0,
    apply_spec_augment=False,
)
STUDENTS = {
    # The mini recipe's.
    "tiny": dict(
        model_conf=dict(
            **W2V_BERT,
            hidden_size=144,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=288,
            feature_projection_input_dim=320,
            conv_depthwise_kernel_size=7,
        ),
        log_mel_conf=dict(n_mels=40, stack=8),
    ),
    "mid": dict(
        model_conf=dict(
            **W2V_BERT,
            hidden_size=256,
            num_hidden_layers=6,
            num_attention_heads=4,
            intermediate_size=1024,
            feature_projection_input_dim=320,
            conv_depthwise_kernel_size=15,
        ),
        log_mel_conf=dict(n_mels=80, stack=4),
    ),
}
TEACHERS = {
    "labse": dict(vocab_size=501153, num_hidden_layers=12),
    "small": dict(vocab_size=1000, num_hidden_layers=1),  # to try the script
}
DIM = 768


def build_student(name: str):
    """Our model with the cosine loss."""
    from espnet_samu.frontend.samu import SamuFrontend
    from espnet_samu.projector.tanh import TanhProjector

    torch.manual_seed(0)
    frontend = SamuFrontend(**STUDENTS[name])
    projector = TanhProjector(input_size=frontend.output_size(), output_size=DIM)
    return assemble_student(frontend, projector).train()


def build_teacher(name: str):
    """BERT of LaBSE's size with its dense layer, in eval mode."""
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=DIM, **TEACHERS[name])
    bert = BertModel(config, add_pooling_layer=False).eval()
    return bert, torch.nn.Linear(DIM, DIM)


class Data:
    """A batch of noise and random tokens; lengths spread as in a duration batch."""

    def __init__(self, batch_size: int, seconds: float, tokens: int, vocab_size: int):
        generator = torch.Generator().manual_seed(0)
        longest = int(seconds * 16000)
        self.lengths = torch.linspace(0.8 * longest, longest, batch_size).long()
        self.speech = torch.randn(batch_size, longest, generator=generator) * 0.1
        self.speech *= torch.arange(longest) < self.lengths[:, None]
        shape = (batch_size, tokens)
        self.tokens = torch.randint(vocab_size, shape, generator=generator)
        vectors = torch.randn(batch_size, DIM, generator=generator)
        self.embed = torch.nn.functional.normalize(vectors, dim=1)


def step_ours(model, optimizer, data: Data) -> None:
    """One update by (a)."""
    loss, _, _ = model(data.speech, data.lengths, data.embed)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def step_in_the_loop(model, optimizer, teacher, data: Data) -> None:
    """One update by (b)."""
    bert, dense = teacher
    with torch.no_grad():
        sentences = bert(data.tokens).last_hidden_state[:, 0]
        sentences = torch.nn.functional.normalize(dense(sentences).tanh(), dim=1)
    # No lengths: every utterance is taken to be as long as the longest.
    full = torch.full_like(data.lengths, data.speech.size(1))
    frames, frame_lengths = model.frontend(data.speech, full)
    weights = model.pooling.query(frames).softmax(dim=1)
    student = model.projector((weights * frames).sum(dim=1))
    loss = torch.zeros(())
    for one, other in zip(student, sentences):
        loss = loss + (1 - torch.nn.functional.cosine_similarity(one, other, dim=0))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def make_steps(args: argparse.Namespace):
    """Both steps by name, each with a student and an optimiser of its own."""
    vocab_size = TEACHERS[args.teacher]["vocab_size"]
    data = Data(args.batch_size, args.seconds, args.tokens, vocab_size)
    steps = {}
    for name in args.only or ("ours", "in the loop"):
        model = build_student(args.student)
        optimizer = torch.optim.Adam(
            [p for p in model.parameters() if p.requires_grad], lr=1e-4
        )
        if name == "ours":
            steps[name] = lambda m=model, o=optimizer: step_ours(m, o, data)
        else:
            teacher = build_teacher(args.teacher)
            steps[name] = lambda m=model, o=optimizer: step_in_the_loop(
                m, o, teacher, data
            )
    return steps


def peak_of(name: str, argv) -> float:
    """Peak memory in GiB of a process that does only one kind of step."""
    output = subprocess.run(
        [sys.executable, __file__, *argv, "--repeats", "1", "--only", name],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return float(output.split()[-1])


def main() -> None:
    """Print seconds and memory of both kinds of step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--student", choices=STUDENTS, default="tiny")
    parser.add_argument("--teacher", choices=TEACHERS, default="labse")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0, help="Longest utterance")
    parser.add_argument(
        "--tokens",
        type=int,
        default=24,
        help="Of the longest sentence, to which the others are padded",
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    steps = make_steps(args)
    if args.only:
        time_pairwise(steps, args.repeats)
        print(peak_memory())
        return
    seconds = time_pairwise(steps, args.repeats)
    peaks = {name: peak_of(name, sys.argv[1:]) for name in steps}
    ratio = seconds["in the loop"] / seconds["ours"]
    print_report(
        f"A step of distillation, {args.student} student, {args.teacher} teacher, "
        f"{args.batch_size} utterances of {0.8 * args.seconds:g}-{args.seconds:g} s, "
        f"{args.tokens} tokens, random weights",
        ["step", "seconds", "peak memory, GiB"],
        [[name, f"{seconds[name]:.3f}", f"{peaks[name]:.2f}"] for name in steps]
        + [["in the loop / ours", f"{ratio:.2f}", ""]],
        {
            "student": args.student,
            "teacher": args.teacher,
            "batch_size": args.batch_size,
            "seconds_ours": seconds["ours"],
            "seconds_in_the_loop": seconds["in the loop"],
            "ratio": ratio,
            "peak_gib_ours": peaks["ours"],
            "peak_gib_in_the_loop": peaks["in the loop"],
            "memory_saved_gib": peaks["in the loop"] - peaks["ours"],
        },
    )


if __name__ == "__main__":
    main()
