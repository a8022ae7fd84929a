#!/usr/bin/env python3
"""Check a recipe's options, and print what samu_st.sh and its programs get."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from espnet_samu import recipe_data
from espnet_samu.bin.jobs import find_unexported
from espnet_samu.recipe_data import check_bitext, check_labels, has_content
from espnet_samu.recipe_names import Names, OptionError
from espnet_samu.utils.command import run


def check(names: Names) -> None:
    """Check what can be checked before the first stage, and print warnings.

    Raises:
        OptionError: Options do not go together, or this machine lacks GPUs.
        ValueError: A set in dump/ was not finished.
    """
    own = names.own
    skips_data = names.is_on("skip_data_prep") or int(own["stage"]) > 3
    for name in names.used_sets if skips_data else ():
        if Path(names.data_feats, f".unfinished.{name}").exists():
            raise ValueError(
                f"stage 3 or 4 was stopped while it wrote {names.data_feats}/{name}: "
                "run it again, from --stage 3"
            )
    commands = (own["train_cmd"], own["cuda_cmd"], own["decode_cmd"])
    warnings = (find_unexported(command, os.environ) for command in commands)
    for warning in dict.fromkeys(filter(None, warnings)):
        print(warning, file=sys.stderr)
    if not names.is_on("skip_train"):
        _check_training(names)
    for switch, model in (("use_lm", "lm_exp"), ("use_ngram", "ngram_exp")):
        # Stages 6-9 of st.sh, which train one, are not run.
        if names.st_option(switch) == "true" and not names.st_option(model):
            raise OptionError(
                f"--{switch} true has no effect: no language model is trained here. "
                "Name one of the same tokens: "
                '--inference_args "--lm_file LM.pth --lm_weight 0.3"'
            )
    if names.runs(13) and names.is_on("test_only") and not own["train_langs"]:
        if not names.is_on("skip_eval"):
            raise OptionError(
                "--test_only true: say by --train_langs what the model was trained on"
            )
    if int(own["stage"]) <= 6 and (int(own["stage"]) > 1 or skips_data):
        # Stage 1 may make what these look for.
        check_labels(names)
        if names.runs(6) and names.makes_embeddings:
            check_bitext(names)


def _check_training(names: Names) -> None:
    own = names.own
    is_local = re.match(r"(run|stdout)\.pl", own["cuda_cmd"])
    if int(own["ngpu"]) > 0 and is_local and any(map(names.runs, (6, 8, 11))):
        # Jobs run on this machine. The import takes seconds.
        from espnet_samu.train.option_checks import check_gpus

        try:
            check_gpus(int(own["ngpu"]))
        except ValueError as error:
            raise OptionError(str(error)) from None
    if int(own["num_splits_st"]) > 1 and names.runs(11):
        config = Path(own["st_config"]).read_text("utf-8")
        balanced = re.findall(r"^balance_languages: *([a-z]*)", config, re.MULTILINE)
        arguments = f" {own['train_args']} {own['st_args']}"
        balanced += re.findall(r" --balance_languages[ =]+([a-z]+)", arguments)
        if balanced[-1:] == ["true"]:  # the last one counts
            raise OptionError(
                f"--num_splits_st {own['num_splits_st']} reads parts of the training "
                "set, and languages are balanced over all of it: pass "
                '--num_splits_st 1, or --st_args "--balance_languages false"'
            )


def vocabulary_arguments(names: Names) -> list[str]:
    """Return what trim_vocab or check_vocab gets in stage 5."""
    own = names.own
    arguments = ["--text", f"data/{own['train_set']}/{names.translations}"]
    for name in sorted({own["valid_set"], *own["test_sets"].split()}):
        text = Path("data", name, names.translations)
        if has_content(text):
            arguments += ["--check_text", str(text)]
    model = own["hugging_face_model_name_or_path"]
    if names.trims:
        languages = _languages(Path("data", own["train_set"], "utt2tgt_lang"))
        for language in languages or [own["tgt_lang"]]:
            arguments += ["--tgt_lang", language]
        return [*arguments, "--model", model, "--output_dir", names.vocab_dir]
    kind = own["tgt_token_type"]
    if kind != "hugging_face":
        model = names.bpemodel or "none"
    arguments += ["--token_type", kind, "--bpemodel", model]
    return [*arguments, "--token_list", names.token_list, "--tgt_lang", own["tgt_lang"]]


def teacher_arguments(names: Names) -> list[str]:
    """Return what teacher_embed gets in stage 6.

    Raises:
        ValueError: A set has no texts to embed.
    """
    own = names.own
    arguments = []
    for teacher in own["teacher"].split() or [f"{names.teacher_dir}/model"]:
        arguments += ["--teacher", teacher]
    if own["teacher_prompt"]:
        arguments += ["--prompt", own["teacher_prompt"]]
    sets = {
        own["samu_train_set"],
        own["samu_valid_set"],
        *own["retrieval_sets"].split(),
    }
    for name in sorted(sets):
        text = Path(names.data_feats, name, names.label_text)
        if not has_content(text):
            raise ValueError(
                f"{text}: no {own['samu_label']}s. Stage 1 must make "
                f"data/{name}/{names.label_text}"
            )
        arguments += ["--text", str(text)]
        arguments += ["--output_dir", f"{names.teacher_dir}/{name}"]
    return arguments


def run_selection(names: Names) -> None:
    """Run samu_select in stage 7, for both sets in this process."""
    from espnet_samu.bin import samu_select

    for part in ("train", "valid"):
        samu_select.main(selection_arguments(names, part))


def run_retrieval(names: Names) -> None:
    """Run score_retrieval in stage 9, for all sets in this process."""
    from espnet_samu.bin import score_retrieval

    own = names.own
    for name in own["retrieval_sets"].split():
        arguments = retrieval_arguments(names, name)
        score_retrieval.main([*arguments, *own["retrieval_args"].split()])


def selection_arguments(names: Names, part: str) -> list[str]:
    """Return what samu_select gets in stage 7 for "train" or "valid"."""
    name = names.own[f"samu_{part}_set"]
    folder = f"{names.data_feats}/{name}"
    # format_wav_scp.sh has counted the samples: no pass over the audio is needed.
    arguments = ["--data_dir", folder, "--source_dir", f"data/{name}"]
    arguments += ["--text", f"{folder}/{names.label_text}"]
    arguments += ["--embed", f"{names.teacher_dir}/{name}/embed.scp"]
    arguments += ["--check_audio", names.own["check_audio"]]
    arguments += ["--nj", str(len(os.sched_getaffinity(0)))]
    return [*arguments, "--output_dir", f"{names.samu_stats_dir}/{part}"]


def retrieval_arguments(names: Names, name: str) -> list[str]:
    """Return what score_retrieval gets in stage 9 for a set."""
    folder, output = Path(names.data_feats, name), f"{names.retrieval_dir}/{name}"
    arguments = ["--query", f"{output}/embed.scp"]
    arguments += ["--target", f"{names.teacher_dir}/{name}/embed.scp"]
    arguments += ["--query_lang", f"{folder}/utt2lang"]
    arguments += ["--target_text", f"{folder}/{names.label_text}"]
    arguments += ["--output_dir", output]
    # Speech finds speech of other languages with the same translation.
    if has_content(folder / names.translations):
        arguments += ["--content", str(folder / names.translations)]
    # Translations into several languages: scores of each by itself.
    targets = folder / "utt2tgt_lang"
    if names.own["samu_label"] == "translation" and len(_languages(targets)) > 1:
        arguments += ["--target_lang", str(targets)]
    return arguments


def target_languages(names: Names, split: str) -> str:
    """Return options of a training that name the target language of each utterance.

    Where there are several, or the vocabulary has a token for it, which the
    configuration may name wrongly or not.

    Args:
        names: Of the recipe.
        split: Folder of the parts that the training set is read in; "": read at once.
    """
    folder = Path(names.data_feats, names.model_train_set)
    file = folder / "utt2tgt_lang"
    if not file.exists() or not (names.trims or len(_languages(file)) > 1):
        return ""
    valid = Path(names.data_feats, names.own["valid_set"], "utt2tgt_lang")
    return "".join(
        f"--{part}_data_path_and_name_and_type {path},tgt_lang,text "
        for part, path in (("train", f"{split}/utt2tgt_lang" if split else file),)
        + (("valid", valid),)
    )


def _languages(path: Path) -> list[str]:
    """Return the languages that a file of lines `id language` names."""
    text = path.read_text("utf-8") if path.is_file() else ""
    rows = (line.split() for line in text.splitlines())
    return sorted({row[1] for row in rows if len(row) > 1})


VARIABLES = (
    "data_feats transcripts translations label_text model_train_set audio_type "
    "teacher_dir samu_exp samu_stats_dir student retrieval_dir st_exp st_stats_dir "
    "inference_tag vocab_dir token_list student_job embed_cmd embed_ngpu"
).split()
"""Of Names, which samu_st.sh reads."""


def assignments(names: Names) -> str:
    """Return lines of shell that set the variables of samu_st.sh."""
    own = names.own
    texts = {name: getattr(names, name) for name in VARIABLES}
    for name in (
        "train_set valid_set samu_train_set samu_valid_set retrieval_sets "
        "speed_perturb_factors"
    ).split():
        texts[name] = own[name]
    texts["used_sets"] = " ".join(names.used_sets)
    texts["model_args"] = names.model_arguments()
    lists = {
        "st_opts": names.st_arguments(),
        "student_opts": names.student_arguments(),
        "score_opts": names.score_arguments(),
        "product_opts": names.product_arguments(),
    }
    return "\n".join(
        [f"{name}={shlex.quote(text)}" for name, text in texts.items()]
        + [f"{name}=({shlex.join(words)})" for name, words in lists.items()]
    )


_ACTIONS: dict[str, Callable[..., int | None]] = {
    "sets": recipe_data.check_sets,
    "begin_sets": recipe_data.begin_sets,
    "carry_over": recipe_data.carry_over,
    "collect_failed": recipe_data.collect_failed,
    "count_failed": recipe_data.count_failed,
    "failures": recipe_data.failures,
    "selection": run_selection,
    "retrieval": run_retrieval,
}
_STAGES: dict[str, Callable[[Names], list[str]]] = {
    "vocabulary": vocabulary_arguments,
    "teacher": teacher_arguments,
}


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=f"{__doc__} names: check options, and print variables of the "
        "shell. target_languages, vocabulary, teacher: print what a program is called "
        "with. selection, retrieval: run samu_select or score_retrieval for each set. "
        "All others: check or complete what st.sh makes",
    )
    actions = ("names", "target_languages", *_ACTIONS, *_STAGES)
    parser.add_argument("action", choices=actions)
    parser.add_argument(
        "options",
        nargs="*",
        help="name=value of all options of samu_st.sh, st.name=value of those of st.sh "
        "that were given; for=value: folder of target_languages",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    args = get_parser().parse_args(cmd)
    given = dict(option.split("=", 1) for option in args.options)
    about = given.pop("for", "")
    st_options = {k[3:]: v for k, v in given.items() if k.startswith("st.")}
    own = {k: v for k, v in given.items() if not k.startswith("st.")}
    try:
        names = Names(own, st_options)
        if args.action == "names":
            check(names)
            print(assignments(names))
        elif args.action in _ACTIONS:
            return _ACTIONS[args.action](names, *filter(None, [about])) or 0
        elif args.action == "target_languages":
            print(target_languages(names, about))
        else:
            print(f"opts=({shlex.join(_STAGES[args.action](names))})")
    except OptionError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    run(main)
