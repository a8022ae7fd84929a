import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from espnet_samu.text.merges import merge_steps

# "ab" joins first, then "cd", "bc" never in "abcd", then "abcd".
SCORES = {"ab": 0, "cd": -1, "bc": -2, "abcd": -3, "a": -9, "b": -9, "c": -9, "d": -9}


def test_merge_steps():
    assert merge_steps(["abcd"], SCORES) == {"ab", "cd", "abcd"}
    assert merge_steps(["bcd"], SCORES) == {"cd"}
    assert merge_steps(["bc", "a", "☃x"], SCORES) == {"bc"}


def test_without_a_step_the_piece_is_not_reached():
    def encode(pieces):
        proto = sentencepiece_model_pb2.ModelProto()
        proto.trainer_spec.model_type = proto.trainer_spec.BPE
        proto.normalizer_spec.add_dummy_prefix = False
        for name, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
            proto.pieces.add(piece=name, type=kind)
        for piece in pieces:
            proto.pieces.add(piece=piece, score=SCORES[piece])
        processor = sentencepiece.SentencePieceProcessor(
            model_proto=proto.SerializeToString()
        )
        return processor.encode("abcd", out_type=str)

    assert encode(SCORES) == ["abcd"]
    assert encode(["a", "b", "c", "d", *merge_steps(["abcd"], SCORES)]) == ["abcd"]
    assert encode(["a", "b", "c", "d", "abcd"]) == ["a", "b", "c", "d"]
