#!/usr/bin/env python3
"""Small models with the files of the published ones, sizes apart, and random weights.

``python test/egs2/tiny_models.py FOLDER`` writes what the configurations name:

* ``encoder``: XLS-R, or another encoder by its hub id (``--encoder``);
* ``decoder``: mBART-50 (``--decoder``: M2M-100 or NLLB), with a sentencepiece model and
  all language codes;
* ``seamless`` (only by ``--parts``): SeamlessM4T v2, which is both;
* ``teacher``: LaBSE (BERT, CLS pooling, Dense with tanh, L2), 768 numbers a sentence;
* ``sense`` (only by ``--parts``): that encoder, w2v-BERT, as SpeechBrain's recipe
  SENSE saves it, with a pooling. The teacher then has as many numbers as it: 128.

``../published.json`` has the files as they are published, or as others have saved them
again (behind the hub id); long lists in them are cut. The same files each time. Nothing
that is measured with them says anything of quality.
"""

import argparse
import io
import json
import string
import tempfile
from pathlib import Path
from typing import Any

SEED = 0
TEACHER_SIZE = 768
"""Size of an embedding, as LaBSE's: the projectors of the configurations fit."""
SENTENCES = """
Good morning, how are you? The train leaves at 10 o'clock. I have not seen the house.
She said: "Yes, we will come tomorrow!" Water and bread are on the table (2 of them).
Guten Morgen, wie geht es Ihnen? Der Zug fährt um 10 Uhr. Das Haus ist groß und schön.
God morgon, hur mår du? Tåget går klockan tio. Huset är stort och vackert; vi kommer.
Bonjour, comment allez-vous ? Le train part à dix heures. Où est la forêt, garçon ?
Bon dia, com estàs? El tren surt a les deu. La casa és gran; l'any que ve, si plau.
Bore da, sut wyt ti? Mae'r trên yn gadael am ddeg. Mae'r tŷ yn fawr ac yn hardd.
Günaydın, nasılsınız? Tren saat onda kalkıyor. Ev büyük ve güzel, değil mi?
Dobro jutro, kako ste? Vlak odpelje ob desetih. Hiša je velika in lepa, žal ne čez.
Tere hommikust, kuidas läheb? Rong väljub kell kümme. Maja on suur ja ilus, õde.
Labrīt, kā jums klājas? Vilciens atiet desmitos. Māja ir liela un skaista, ņemšu šo.
Selamat pagi, apa kabar? Kereta berangkat jam sepuluh. Rumah itu besar dan indah.
Доброе утро, как дела? Поезд уходит в десять часов. Дом большой и красивый.
Өглөөний мэнд, сайн уу? Галт тэрэг арван цагт явна. Байшин том, үзэсгэлэнтэй.
صباح الخير، كيف حالك؟ يغادر القطار في العاشرة. البيت كبير وجميل.
صبح بخیر، حال شما چطور است؟ قطار ساعت ده حرکت می‌کند. خانه بزرگ و زیباست.
காலை வணக்கம், எப்படி இருக்கிறீர்கள்? ரயில் பத்து மணிக்கு புறப்படும்.
早上好，你好吗？火车十点出发。房子又大又漂亮。
おはようございます、お元気ですか。電車は十時に出ます。家は大きくてきれいです。
"""
"""For training the sentencepiece model: scripts of CoVoST-2's target languages."""


PUBLISHED = json.loads(
    (Path(__file__).parents[1] / "published.json").read_text(encoding="utf-8")
)
"""Files of published models, by hub id and name."""
XLS_R, MBART50 = (
    "facebook/wav2vec2-xls-r-300m",
    "facebook/mbart-large-50-many-to-many-mmt",
)
SIZES = {
    # 128 channels: masks of 64 channels leave some.
    "hidden_size": 128,
    "output_hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    # Not 8 channels, whose convolutions oneDNN rounds wrongly in bfloat16.
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "num_codevectors_per_group": 8,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
    "conv_depthwise_kernel_size": 3,
}
"""Of encoders over waveforms and of w2v-BERT."""
WHISPER_SIZES = {
    "d_model": 128,
    "encoder_layers": 2,
    "num_hidden_layers": 2,  # the same field
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_layers": 1,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "max_source_positions": 400,  # a window of 8 s
    "max_target_positions": 8,
    "vocab_size": 100,
    "pad_token_id": 97,
    "bos_token_id": 97,
    "eos_token_id": 97,
    "decoder_start_token_id": 98,
}
DECODER_SIZES = {
    "d_model": 32,
    "encoder_layers": 1,
    "num_hidden_layers": 1,  # the same field
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 256,
}
SEAMLESS_CODES = """
    afr amh arb ary arz asm azj bel ben bos bul cat ceb ces ckb cmn cmn_Hant cym dan deu
    ell eng est eus fin fra fuv gaz gle glg guj heb hin hrv hun hye ibo ind isl ita jav
    jpn kan kat kaz khk khm kir kor lao lit lug luo lvs mai mal mar mkd mlt mni mya nld
    nno nob npi nya ory pan pbt pes pol por ron rus sat slk slv sna snd som spa srp swe
    swh tam tel tgk tgl tha tur ukr urd uzn vie yor yue zlm zul
    """.split()
"""Languages that SeamlessM4T translates into, in the order of the rows."""
SEAMLESS_MARKS = ["<MINED_DATA>", "<MMT_BT_DATA>", "<SMT_BT_DATA>"]
SEAMLESS_SIZES = {
    "hidden_size": 32,
    "speech_encoder_layers": 2,
    "speech_encoder_attention_heads": 2,
    "speech_encoder_intermediate_size": 64,
    "conv_depthwise_kernel_size": 3,
    "encoder_layers": 1,
    "t2u_encoder_layers": 1,
    "t2u_decoder_layers": 1,
    "decoder_layers": 2,
    **{
        f"{part}_{size}": value
        for part in ("encoder", "decoder", "t2u_encoder", "t2u_decoder")
        for size, value in (("attention_heads", 2), ("ffn_dim", 64))
    },
    "max_position_embeddings": 512,
    "t2u_vocab_size": 8,
    "t2u_max_position_embeddings": 8,
    "upsample_initial_channel": 32,
    "unit_embed_dim": 4,
    "lang_embed_dim": 4,
    "spkr_embed_dim": 4,
    "unit_hifi_gan_vocab_size": 8,
}
_CLASSES = {
    "wav2vec2": "Wav2Vec2ForPreTraining",
    "wavlm": "WavLMModel",
    "wav2vec2-bert": "Wav2Vec2BertModel",
    "whisper": "WhisperForConditionalGeneration",
    "mbart": "MBartForConditionalGeneration",
    "m2m_100": "M2M100ForConditionalGeneration",
}


def make_published(folder: Path, name: str, **sizes: Any) -> None:
    """Write a published model's files, smaller and with random weights.

    Args:
        folder: Made if it is not there.
        name: In ``PUBLISHED``.
        sizes: Fields of config.json in place of those published.
    """
    import torch
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    files = {k: dict(v) for k, v in PUBLISHED[name].items() if isinstance(v, dict)}
    fields = files["config.json"]
    fields.update({k: v for k, v in sizes.items() if k in fields})
    config = CONFIG_MAPPING[fields["model_type"]].from_dict(dict(fields))
    torch.manual_seed(SEED)
    model = getattr(transformers, _CLASSES[fields["model_type"]])(config)
    model.save_pretrained(folder)
    # Not what transformers makes of them.
    for file, content in files.items():
        (folder / file).write_text(json.dumps(content), encoding="utf-8")


def make_encoder(folder: Path, name: str = XLS_R) -> None:
    """Write an encoder with 2 layers and 128 channels, and its preprocessor's settings.

    Args:
        folder: Made if it is not there.
        name: In ``PUBLISHED``.
    """
    import transformers

    fields = PUBLISHED[name]["config.json"]
    is_whisper = fields["model_type"] == "whisper"
    make_published(folder, name, **(WHISPER_SIZES if is_whisper else SIZES))
    if fields["model_type"] == "wav2vec2":
        transformers.Wav2Vec2FeatureExtractor(
            do_normalize=True, return_attention_mask=True
        ).save_pretrained(folder)


def train_sentencepiece(vocab_size: int = 400, model_type: str = "unigram") -> bytes:
    """Return the content of a unigram or bpe model, trained on ``SENTENCES``."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES.strip().split("\n") * 4),
        model_writer=model,
        model_type=model_type,
        vocab_size=vocab_size,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def make_decoder(folder: Path, name: str = MBART50) -> None:
    """Write a decoder with 2 layers, 32 channels, some hundred pieces and all codes.

    Args:
        folder: Made if it is not there.
        name: In ``PUBLISHED``.
    """
    import sentencepiece
    from transformers.models.m2m_100 import tokenization_m2m_100
    from transformers.models.mbart50 import tokenization_mbart50
    from transformers.models.nllb import tokenization_nllb

    model = train_sentencepiece()
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    tokenizer, codes, n_more = {
        "mbart-": ("MBart50Tokenizer", tokenization_mbart50.FAIRSEQ_LANGUAGE_CODES, 1),
        "nllb-2": ("NllbTokenizer", tokenization_nllb.FAIRSEQ_LANGUAGE_CODES, 1),
        # No <mask>, but 8 rows that nothing uses.
        "m2m100": (
            "M2M100Tokenizer",
            tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES["m2m100"],
            8,
        ),
    }[name.partition("/")[2][:6]]
    size = len(pieces) + 1 + len(codes) + n_more  # <pad>
    make_published(folder, name, vocab_size=size, **DECODER_SIZES)
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    settings = {"tokenizer_class": tokenizer}
    if tokenizer == "M2M100Tokenizer":
        tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces[3:]]
        vocab = {token: row for row, token in enumerate(tokens)}
        (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    elif tokenizer == "MBart50Tokenizer":
        settings["src_lang"] = "en_XX"
    (folder / "tokenizer_config.json").write_text(f"{json.dumps(settings)}\n")


def make_seamless(
    folder: Path,
    pieces: bytes | None = None,
    model_type: str = "seamless_m4t_v2",
    **fields: Any,
) -> None:
    """Write a whole SeamlessM4T, small, with random weights.

    No file of a published one is in ``PUBLISHED``: config.json is transformers' own,
    and the tokenizer's are in the form of transformers 4.35.

    Args:
        folder: Made if it is not there.
        pieces: Content of a sentencepiece model of bpe.
        model_type: ``seamless_m4t`` or ``seamless_m4t_v2``.
        fields: Of config.json, in place of those here.
    """
    import sentencepiece
    import torch
    import transformers

    pieces = train_sentencepiece(model_type="bpe") if pieces is None else pieces
    n_pieces = len(sentencepiece.SentencePieceProcessor(model_proto=pieces)) + 1
    added = [*(f"__{code}__" for code in SEAMLESS_CODES), *SEAMLESS_MARKS]
    fields = {**SEAMLESS_SIZES, "vocab_size": n_pieces + len(added), **fields}
    config = transformers.AutoConfig.for_model(model_type, **fields)
    version = {"seamless_m4t": "", "seamless_m4t_v2": "v2"}[model_type]
    torch.manual_seed(SEED)
    model = getattr(transformers, f"SeamlessM4T{version}Model")(config)
    model.save_pretrained(folder)
    path = folder / "generation_config.json"
    generation = json.loads(path.read_text(encoding="utf-8"))
    # With it, transformers would read nothing but what it knows.
    generation.pop("_from_model_config", None)
    generation["text_decoder_lang_to_code_id"] = {
        code: row for row, code in enumerate(SEAMLESS_CODES, n_pieces)
    }
    path.write_text(json.dumps(generation), encoding="utf-8")
    transformers.SeamlessM4TFeatureExtractor().save_pretrained(folder)
    (folder / "sentencepiece.bpe.model").write_bytes(pieces)
    first = ("<pad>", "<unk>", "<s>", "</s>")
    rows = [*enumerate(first), *enumerate(added, n_pieces)]
    settings = {
        "tokenizer_class": "SeamlessM4TTokenizer",
        "added_tokens_decoder": {
            str(row): {"content": token, "special": True} for row, token in rows
        },
        "additional_special_tokens": added,
        "src_lang": "eng",
        "tgt_lang": "fra",
    }
    (folder / "tokenizer_config.json").write_text(f"{json.dumps(settings)}\n")


def make_sense(folder: Path, encoder: Path) -> None:
    """Write a checkpoint of SpeechBrain's recipe CommonVoice/SENSE.

    Args:
        folder: Made if it is not there.
        encoder: Of :func:`make_encoder`.
    """
    import torch
    from safetensors.torch import load_file

    folder.mkdir(exist_ok=True)
    weights = load_file(encoder / "model.safetensors")
    weights = {f"model.{name}": weight for name, weight in weights.items()}
    torch.save(weights, folder / "wav2vec2.ckpt")
    torch.manual_seed(SEED)
    pooling = torch.nn.Linear(SIZES["hidden_size"], 1).state_dict()
    pooling = {f"0.attn_pooling_w.{name}": value for name, value in pooling.items()}
    torch.save(pooling, folder / "model.ckpt")


def make_teacher(folder: Path, size: int = TEACHER_SIZE) -> None:
    """Write LaBSE with 2 layers and 32 channels; its tokens are characters.

    Args:
        folder: Made if it is not there.
        size: Numbers of an embedding.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = sorted({*SENTENCES.lower(), *string.ascii_lowercase, *string.digits})
    letters = [letter for letter in letters if not letter.isspace()]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    pieces += [f"##{letter}" for letter in letters]
    tokenizer = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)})
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        initializer_range=0.5,  # so that sentences differ
    )
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as bert:  # the library loads, never wraps
        BertModel(config).save_pretrained(bert)
        tokenizer.save_pretrained(bert)
        modules = [
            Transformer(bert, max_seq_length=256),
            Pooling(32, pooling_mode="cls"),
            Dense(32, size),
            Normalize(),
        ]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(folder), create_model_card=False)


def main() -> None:
    """Run from the command line."""
    import espnet_samu  # noqa: F401 - puts off imports of the libraries

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="For encoder, decoder, teacher")
    parser.add_argument("--encoder", default=XLS_R, choices=PUBLISHED)
    parser.add_argument("--decoder", default=MBART50, choices=PUBLISHED)
    parts = ("encoder", "decoder", "teacher")
    choices = (*parts, "seamless", "sense")
    parser.add_argument("--parts", nargs="+", default=parts, choices=choices)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if "encoder" in args.parts:
        make_encoder(args.folder / "encoder", args.encoder)
    if "decoder" in args.parts:
        make_decoder(args.folder / "decoder", args.decoder)
    if "seamless" in args.parts:
        make_seamless(args.folder / "seamless")
    if "teacher" in args.parts:
        size = SIZES["hidden_size"] if "sense" in args.parts else TEACHER_SIZE
        make_teacher(args.folder / "teacher", size)
    if "sense" in args.parts:
        make_sense(args.folder / "sense", args.folder / "encoder")


if __name__ == "__main__":
    main()
