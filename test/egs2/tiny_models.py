#!/usr/bin/env python3
"""Small models in the layouts of the published ones, with random weights.

``python test/egs2/tiny_models.py FOLDER`` writes what the configurations name:

* ``encoder``: XLS-R (wav2vec 2.0 with layer norms and its preprocessor's settings);
* ``decoder``: mBART-50, with a sentencepiece model and the 52 language codes;
* ``teacher``: LaBSE (BERT, CLS pooling, Dense with tanh, L2), 768 numbers a sentence.

The same files each time. Nothing that is measured with them says anything of quality.
"""

import argparse
import io
import json
import string
import tempfile
from pathlib import Path

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


def make_encoder(folder: Path) -> None:
    """Write XLS-R with 2 layers and 128 channels: masks of 64 channels leave some."""
    import torch
    import transformers

    config = transformers.Wav2Vec2Config(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        # Not 8 channels, whose convolutions oneDNN rounds wrongly in bfloat16.
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        num_codevectors_per_group=8,
        codevector_dim=8,
        proj_codevector_dim=8,
        # As XLS-R, unlike the defaults.
        do_stable_layer_norm=True,
        feat_extract_norm="layer",
        conv_bias=True,
        layerdrop=0.0,
    )
    torch.manual_seed(SEED)
    transformers.Wav2Vec2ForPreTraining(config).save_pretrained(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(
        do_normalize=True, return_attention_mask=True
    )
    extractor.save_pretrained(folder)


def train_sentencepiece(vocab_size: int = 400) -> bytes:
    """Return the content of a unigram model, trained on ``SENTENCES``."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES.strip().split("\n") * 4),
        model_writer=model,
        vocab_size=vocab_size,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def make_decoder(folder: Path) -> None:
    """Write mBART-50 with 2 layers, 32 channels, some hundred pieces and all codes."""
    import sentencepiece
    import torch
    import transformers
    from transformers.models.mbart50 import tokenization_mbart50

    model = train_sentencepiece()
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    codes = tokenization_mbart50.FAIRSEQ_LANGUAGE_CODES
    config = transformers.MBartConfig(
        vocab_size=pieces.get_piece_size() + 1 + len(codes) + 1,  # <pad>, <mask>
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=256,
        scale_embedding=True,
    )
    torch.manual_seed(SEED)
    transformers.MBartForConditionalGeneration(config).save_pretrained(folder)
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    settings = {"tokenizer_class": "MBart50Tokenizer", "src_lang": "en_XX"}
    (folder / "tokenizer_config.json").write_text(f"{json.dumps(settings)}\n")


def make_teacher(folder: Path) -> None:
    """Write LaBSE with 2 layers and 32 channels; its tokens are characters."""
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
            Dense(32, TEACHER_SIZE),
            Normalize(),
        ]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(folder), create_model_card=False)


def make_trio(folder: Path) -> None:
    """Write folders ``encoder``, ``decoder`` and ``teacher``.

    Args:
        folder: Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make_encoder(folder / "encoder")
    make_decoder(folder / "decoder")
    make_teacher(folder / "teacher")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="For encoder, decoder, teacher")
    make_trio(parser.parse_args().folder)


if __name__ == "__main__":
    main()
