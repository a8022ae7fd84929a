import numpy as np
import pytest

from espnet_samu.text.languages import TargetLanguages
from espnet_samu.train.translation_preprocessor import TranslationPreprocessor

LANGUAGES = TargetLanguages(["a", "b", "de_DE", "en_XX"])


def letters(uid, data):
    """Stands for ESPnet's preprocessing."""
    assert "tgt_lang" not in data
    return {**data, "text": np.array([ord(c) - ord("a") for c in data["text"]])}


def test_one_utterance():
    preprocess = TranslationPreprocessor(letters, LANGUAGES)
    speech = np.zeros(3)
    data = {"speech": speech, "text": "ab", "tgt_lang": "de\n"}
    result = preprocess("utt", data)
    assert result["text"].tolist() == [0, 1] and result["speech"] is speech
    assert result["tgt_lang"].tolist() == [2] and result["tgt_lang"].dtype == np.int64
    assert data["text"] == "ab" and data["tgt_lang"] == "de\n"
    # one language for all: nothing is added
    assert set(preprocess("utt", {"text": "b"})) == {"text"}


def test_refused():
    preprocess = TranslationPreprocessor(letters, LANGUAGES)
    message = "utterance sp0.9-u: target language 'fr' .*de_DE, en_XX"
    with pytest.raises(ValueError, match=message):
        preprocess("sp0.9-u", {"text": "ab", "tgt_lang": "fr"})
    with pytest.raises(ValueError, match="utterance u: the translation is empty"):
        preprocess("u", {"text": "", "tgt_lang": "de"})
