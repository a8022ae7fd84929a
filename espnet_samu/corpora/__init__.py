"""Corpora: read, checked, and written as Kaldi data directories.

``python -m espnet_samu.bin.prepare CORPUS ...`` is what a recipe's ``local/data.sh``
calls. A corpus is read by a module of its own (:mod:`manifest`, :mod:`covost2`,
:mod:`europarl_st`, :mod:`fleurs`); the readers share all else:

- :mod:`audio` decodes a recording to its end and checks it, :mod:`audio_store` does so
  once for all sets and keeps it as 16 kHz FLAC of one channel.
- :mod:`utterance` is the record of a reader; it checks ids and cleans texts.
- :mod:`held_out` recognises sentences that no training set may hold.
- :mod:`counts` names file, line, problem and mend, and writes what was kept, changed
  and left out.
- :mod:`data_dir` writes data directories whole or not at all.
- :mod:`marker` says whether sets are there already, made of the same files.
"""
