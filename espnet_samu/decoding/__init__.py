"""Decoding (stage 12): how ``wav.scp`` becomes ``text``.

1. ``bin/st_inference.py`` lists the utterances with their target languages
   (``utterances.py``) and leaves out what an earlier run has finished.
2. ``batch_decoder.py`` reads waveforms in worker processes, sorts them by length and
   translates batches; an utterance that fails is named and does not stop the others.
3. ``speech2text.py`` (beside this folder) encodes a batch, cuts recordings longer than
   ``chunk_seconds``, and calls one of two searches:
4. ``search.py``: transformers' ``generate`` over the decoder and its K/V cache, or
   ``beam_search.py``: ESPnet's beam search with CTC or a language model beside it.
5. ``translation.py`` turns the token ids of each hypothesis into text.
6. ``batch_decoder.py`` writes ``1best_recog/{text,token,token_int,score}``.
"""
