"""Names of a recipe's folders, and what its programs are called with.

``samu_st.sh`` has the options; what follows from them is here.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

SWITCHES = (
    *("skip_data_prep", "skip_train", "skip_eval", "skip_packing", "skip_upload_hf"),
    *("test_only", "gpu_inference", "use_src_lang", "trim_vocab", "check_audio"),
    "allow_missing",
)
"""Options of samu_st.sh that are true or false."""
PRODUCT_OPTIONS = (
    "data_feats expdir train_set perturbed_set valid_set test_sets durations "
    "transcripts translations use_src_lang samu_train_set samu_valid_set "
    "retrieval_sets label_text teacher teacher_prompt teacher_dir own_student named "
    "samu_model samu_exp samu_stats_dir check_audio samu_config samu_args "
    "retrieval_dir token_list bpemodel token_texts token_model token_args st_exp "
    "st_stats_dir st_config st_args inference_tag inference_config inference_args "
    "inference_st_model baseline_exp train_langs command"
).split()
"""Options of check_products."""


class OptionError(ValueError):
    """Options that do not go together, or lack something."""


def tag_of(arguments: str) -> str:
    """Return arguments as part of a folder's name, as in st.sh."""
    return re.sub(r"[ |=]", "", arguments.replace("--", "_")).replace("/", "-")


def _stem(config: str) -> str:
    return Path(config).name.removesuffix(".yaml")


def _has_line(config: str, pattern: str) -> bool:
    """Return whether a configuration has a line of a pattern; a missing one has not."""
    path = Path(config)
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    return re.search(pattern, text, re.MULTILINE) is not None


class Names:
    """Options of a recipe and what follows from them.

    Args:
        options: Those of samu_st.sh, by name.
        st_options: Those of st.sh that were given, by name.
        st_sh: The script, which has the defaults.

    Raises:
        OptionError: A required option is missing, or a value is not allowed.
    """

    def __init__(
        self,
        options: Mapping[str, str],
        st_options: Mapping[str, str],
        st_sh: Path = Path("st.sh"),
    ) -> None:
        own = self.own = dict(options)
        self.st_options = dict(st_options)
        self.st_sh = st_sh
        for name in SWITCHES:
            if own[name] not in ("true", "false"):
                raise OptionError(f"--{name} must be true or false: '{own[name]}'")
        for name in ("stage", "stop_stage", "ngpu", "num_splits_st"):
            if not own[name].isdecimal():
                raise OptionError(f"--{name} must be a number: '{own[name]}'")
        if self.is_on("test_only"):
            # To st.sh, which asks for a training set, one of the test sets is that, of
            # which no utterance is too long.
            first = own["test_sets"].partition(" ")[0]
            for name in ("train_set", "valid_set", "samu_train_set", "samu_valid_set"):
                own[name] = first
            self.st_options["min_wav_duration"] = "0"
            self.st_options["max_wav_duration"] = "1000000"
            own["speed_perturb_factors"] = ""
        for name in ("train_set", "valid_set", "test_sets"):
            if not own[name]:
                raise OptionError(f"--{name} is required (see ./samu_st.sh --help)")
        if own["feats_type"] != "raw":
            raise OptionError(
                f"--feats_type {own['feats_type']}: speech encoders read waveforms, "
                "use raw"
            )
        for name, default in (
            ("samu_train_set", "train_set"),
            ("samu_valid_set", "valid_set"),
            ("retrieval_sets", "test_sets"),
        ):
            own[name] = own[name] or own[default]
        self._name_texts()
        self._name_student()
        self._name_model()
        self._name_tokens()

    def is_on(self, switch: str) -> bool:
        """Return whether an option is true."""
        return self.own[switch] == "true"

    def st_option(self, name: str) -> str:
        """Return an option of st.sh, as it was given or its default."""
        if name in self.st_options:
            return self.st_options[name]
        default = re.search(rf"^{name}=(\S*)", self.st_sh.read_text(), re.MULTILINE)
        return default[1] if default else ""

    def runs(self, stage: int) -> bool:
        """Return whether this call runs a stage."""
        return int(self.own["stage"]) <= stage <= int(self.own["stop_stage"])

    @property
    def makes_embeddings(self) -> bool:
        """Whether teacher and student embed something (stages 6-9)."""
        other_student = bool(self.own["samu_model"])
        # With --test_only true that student is tested.
        return not self.is_on("skip_train") and self.is_on("test_only") == other_student

    @property
    def used_sets(self) -> list[str]:
        """Sets of training, validation and test, in alphabetical order."""
        own = self.own
        names = [own["train_set"], own["valid_set"], *own["test_sets"].split()]
        return sorted({*names, own["samu_train_set"], own["samu_valid_set"]})

    def _name_texts(self) -> None:
        own = self.own
        self.data_feats = f"{own['dumpdir']}/raw"
        self.transcripts = f"text.{own['src_case']}.{own['src_lang']}"
        self.translations = f"text.{own['tgt_case']}.{own['tgt_lang']}"
        self.perturbed_set = self.model_train_set = ""
        if own["speed_perturb_factors"]:
            self.perturbed_set = f"{own['train_set']}_sp"
        self.model_train_set = self.perturbed_set or own["train_set"]
        self.audio_type = "kaldi_ark" if "ark" in own["audio_format"] else "sound"
        self._label_tag = ""
        if own["samu_label"] == "transcript":
            self.label_text = self.transcripts
        elif own["samu_label"] == "translation":
            self.label_text = self.translations
            self._label_tag = "_translation"
            if own["tgt_lang"] != "en":
                self._label_tag += f"_{own['tgt_lang']}"
        else:
            raise OptionError(
                "--samu_label must be transcript or translation: "
                f"'{own['samu_label']}'"
            )
        name = own["teacher"].replace("/", "-").replace(" ", "_") or "small"
        self.teacher_dir = f"{own['expdir']}/teacher_{name}{self._label_tag}"

    def _name_student(self) -> None:
        """Name what the distillation makes; what is not the default is in a name."""
        own = self.own
        # samu_train_cs_fr -> _cs_fr: speech of one's own for the distillation.
        data_tag = ""
        if own["samu_train_set"].startswith("samu_train"):
            data_tag = own["samu_train_set"].removeprefix("samu_train")
        elif own["samu_train_set"] not in ("train", f"train.{own['tgt_lang']}"):
            data_tag = "_" + own["samu_train_set"].replace("/", "-")
        if own["src_case"] != "tc":
            data_tag += f"_{own['src_case']}"
        tag = own["samu_tag"] or (
            f"{_stem(own['samu_config'])}_raw{self._label_tag}{data_tag}"
            + tag_of(own["samu_args"])
        )
        # Folders that the user names, whatever made what is in them
        self.named = " student" * bool(own["samu_exp"]) + " model" * bool(own["st_exp"])
        expdir, file = own["expdir"], own["inference_samu_model"]
        self._student_tag = ""
        if own["samu_model"] or own["samu_exp"]:
            student = own["samu_model"] or f"{own['samu_exp']}/{file}"
            if student != f"{expdir}/samu_train_samu_raw/{file}":
                self._student_tag = tag_of(f"--samu_model {student}")
        elif tag != "train_samu_raw":
            self._student_tag = f"_samu_{tag.removeprefix('train_samu_raw_')}"
        self.samu_exp = own["samu_exp"] or f"{expdir}/samu_{tag}"
        self.samu_stats_dir = own["samu_stats_dir"] or (
            f"{expdir}/samu_stats_raw{self._label_tag}{data_tag}"
        )
        self.student = own["samu_model"] or f"{self.samu_exp}/{file}"
        folder, name = os.path.split(self.student)
        stem = name.rpartition(".")[0] or name
        self.retrieval_dir = f"{folder or '.'}/retrieval_{stem}"
        self.student_job = f"{self.samu_exp}/train.log"
        if re.search(r"queue(-freegpu)?\.pl", own["cuda_cmd"]):
            # SGE can't include "/" in a job name
            self.student_job = os.path.basename(self.samu_exp)
        on_gpu = self.is_on("gpu_inference")
        self.embed_cmd = own["cuda_cmd"] if on_gpu else own["decode_cmd"]
        self.embed_ngpu = "1" if on_gpu else "0"

    def _st_tag(self, config: str) -> str:
        own = self.own
        tag = f"{_stem(config)}_raw_{own['src_lang']}_{own['tgt_lang']}"
        if _has_line(config, r"^(init_from_samu: true|samu_weight:)"):
            tag += self._student_tag
        if own["train_set"] not in ("train", f"train.{own['tgt_lang']}"):
            tag += "_" + own["train_set"].replace("/", "-")
        if own["tgt_case"] != "tc":
            tag += f"_{own['tgt_case']}"
        if own["tgt_token_type"] == "hugging_face":
            # The configuration names the decoder's model, as a rule.
            model = own["hugging_face_model_name_or_path"]
            named = rf"^ +model: *['\"]?{re.escape(model)}['\"]? *(#.*)?$"
            if not _has_line(config, named):
                model = os.path.basename(model) if os.path.isdir(model) else model
                tag += "_" + model.replace("/", "-")
        elif own["tgt_token_type"] != "bpe":
            tag += f"_{own['tgt_token_type']}"
        return tag + tag_of(own["st_args"]) + "_sp" * bool(self.perturbed_set)

    def _name_model(self) -> None:
        own = self.own
        tag = own["st_tag"] or self._st_tag(own["st_config"])
        self.st_exp = own["st_exp"] or f"{own['expdir']}/st_{tag}"
        self.baseline_exp = own["baseline_exp"]
        if own["baseline_config"]:
            tag = self._st_tag(own["baseline_config"])
            self.baseline_exp = f"{own['expdir']}/st_{tag}"
        model = own["inference_st_model"]
        self.inference_tag = own["inference_tag"] or (
            _stem(own["inference_config"])
            + tag_of(own["inference_args"])
            + f"_{model.rpartition('.')[0] or model}"
        )

    def _name_tokens(self) -> None:
        """Name token list, tokenizer and statistics as st.sh does."""
        own = self.own
        kind, model = own["tgt_token_type"], own["hugging_face_model_name_or_path"]
        folder = f"data/{own['src_lang']}_{own['tgt_lang']}_token_list"
        stats = f"st_stats_raw_{own['src_lang']}_{own['tgt_lang']}_"
        texts = f"{self.data_feats}/{own['train_set']}/{self.translations}"
        texts = self.st_option("tgt_bpe_train_text") or texts
        self.vocab_options = ["--tgt_token_type", kind]
        self.vocab_options += ["--hugging_face_model_name_or_path", model]
        self.trims = kind == "hugging_face" and self.is_on("trim_vocab")
        self.token_list = self.bpemodel = self.vocab_dir = ""
        if self.trims:
            if not model:
                raise OptionError(
                    "--tgt_token_type hugging_face needs "
                    "--hugging_face_model_name_or_path"
                )
            if self.st_options.get("token_joint") == "true":
                raise OptionError(
                    "--token_joint true does not go with --trim_vocab true: mBART's "
                    "tokens are those of the translations only"
                )
            # To st.sh it is a bpe model, whatever --tgt_nbpe says. The folder is
            # st.sh's for this mode and size.
            size = "_" + model.replace("/", "_").replace(" ", "_")
            self.vocab_options = ["--tgt_token_type", "bpe"]
            self.vocab_options += ["--tgt_bpemode", "trimmed", "--tgt_nbpe", size]
            self.vocab_dir = folder = f"{folder}/tgt_bpe_trimmed{size}"
            texts = f"data/{own['train_set']}/{self.translations}"
            stats += f"bpe{size}"
            self.bpemodel = f"{folder}/bpe.model"
            self.token_list = f"{folder}/tokens.txt"
        elif kind == "bpe":
            size = self.st_option("tgt_nbpe")
            folder += f"/tgt_bpe_{self.st_option('tgt_bpemode')}{size}"
            stats += f"bpe{size}"
            self.bpemodel = f"{folder}/bpe.model"
            self.token_list = f"{folder}/tokens.txt"
        elif kind == "hugging_face":
            name = model.replace("/", "-", 1)
            stats += f"hugging_face_{name}"
            texts = ""
            self.token_list = f"{folder}/hugging_face_{name}/tokens.txt"
        else:
            stats += kind
            if kind in ("char", "word"):
                self.token_list = f"{folder}/{kind}/tgt_tokens.txt"
        self.token_texts = texts
        if self.is_on("test_only"):  # a model of elsewhere has its own
            self.token_list = self.bpemodel = ""
        self.st_stats_dir = self.st_option("st_stats_dir") or (
            f"{own['expdir']}/{stats}" + "_sp" * bool(self.perturbed_set)
        )

    def st_arguments(self) -> list[str]:
        """Return what every call of st.sh gets beside the user's options for it."""
        own = self.own
        arguments = []
        for name in (
            "ngpu num_nodes gpu_inference dumpdir expdir audio_format src_lang "
            "tgt_lang src_case tgt_case use_src_lang train_set valid_set test_sets "
            "speed_perturb_factors num_splits_st st_config batch_size "
            "inference_config inference_st_model"
        ).split():
            arguments += [f"--{name}", own[name]]
        arguments += ["--feats_type", "raw", "--feats_normalize", "none"]
        arguments += ["--st_exp", self.st_exp, "--inference_tag", self.inference_tag]
        inference_args = f"--allow_missing true {own['inference_args']}"
        arguments += ["--inference_args", inference_args]
        if self.perturbed_set:  # st.sh looks for texts where this set has none
            source = f"data/{own['train_set']}"
            arguments += ["--lm_train_text", f"{source}/{self.translations}"]
            arguments += ["--tgt_bpe_train_text", f"{source}/{self.translations}"]
            arguments += ["--src_bpe_train_text", f"{source}/{self.transcripts}"]
        for name, value in self.st_options.items():
            arguments += [f"--{name}", value]
        return arguments + self.vocab_options

    def model_arguments(self) -> str:
        """Return what both trainings of st.sh get before the user's arguments."""
        arguments = (
            f"--samu_model {self.student} "
            f"--frames_cache_dir {self.own['dumpdir']}/frames "
            f"--max_wav_duration {self.st_option('max_wav_duration')}"
        )
        if self.vocab_dir:
            arguments += f" --decoder_conf model={self.vocab_dir}"
        return arguments

    def student_arguments(self) -> list[str]:
        """Return what samu_train gets before the user's arguments."""
        own = self.own
        arguments = ["--config", own["samu_config"], "--resume", "true"]
        arguments += ["--output_dir", self.samu_exp, "--valid_utt2lang"]
        arguments += [f"{self.data_feats}/{own['samu_valid_set']}/utt2lang"]
        arguments += ["--frames_cache_dir", f"{own['dumpdir']}/frames"]
        arguments += ["--max_wav_duration", self.st_option("max_wav_duration")]
        for part in ("train", "valid"):
            name = own[f"samu_{part}_set"]
            option = f"--{part}_data_path_and_name_and_type"
            speech = f"{self.data_feats}/{name}/wav.scp,speech,{self.audio_type}"
            embed = f"{self.teacher_dir}/{name}/embed.scp,embed,kaldi_ark"
            shapes = f"{self.samu_stats_dir}/{part}/speech_shape"
            arguments += [option, speech, option, embed]
            arguments += [f"--{part}_shape_file", shapes]
        return arguments

    def score_arguments(self) -> list[str]:
        """Return what score_experiment gets."""
        own = self.own
        options = {
            "st_exp": self.st_exp,
            "baseline_exp": self.baseline_exp,
            "inference_tag": self.inference_tag,
            "test_sets": own["test_sets"],
            "data_feats": self.data_feats,
            "ref": self.translations,
            "src": self.transcripts,
            "src_lang": own["src_lang"],
            "tgt_lang": own["tgt_lang"],
            "train_langs": own["train_langs"],
            "train_utt2lang": f"data/{own['train_set']}/utt2lang",
            "retrieval_dir": self.retrieval_dir,
            "retrieval_sets": own["retrieval_sets"],
            "samu_model": self.student,
            "command": own["command"],
            "score_args": own["score_args"],
            "report_args": own["report_args"],
        }
        return [word for name in options for word in (f"--{name}", options[name])]

    def product_arguments(self) -> list[str]:
        """Return what check_products gets."""
        own = self.own
        durations = [self.st_option(f"{end}_wav_duration") for end in ("min", "max")]
        other_student = self.is_on("test_only") or bool(own["samu_model"])
        changed = {
            "durations": " ".join(durations),
            "own_student": "false" if other_student else "true",
            "samu_model": self.student,
            "samu_args": f"{own['train_args']} {own['samu_args']}",
            "st_args": f"{own['train_args']} {own['st_args']}",
            "token_model": own["hugging_face_model_name_or_path"],
            "token_args": own["trim_vocab_args"],
        }
        values = {**own, **vars(self), **changed}
        return [f"--{name}={values[name]}" for name in PRODUCT_OPTIONS]
