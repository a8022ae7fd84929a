"""Which directions a scenario trains on and is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "ro")
SCENARIOS = ("x2en", "m2m", "zeroshot")

Direction = tuple[str, str]  # spoken, written


def languages(option: str, codes: str) -> tuple[str, ...]:
    """Read a list of languages, separated by commas or blanks.

    Raises:
        ValueError: Not a language of the corpus, or one twice.
    """
    chosen = codes.replace(",", " ").split()
    for code in chosen:
        if code not in LANGUAGES:
            raise ValueError(
                f"--{option}: '{code}' is not one of {' '.join(LANGUAGES)}"
            )
        if chosen.count(code) > 1:
            raise ValueError(f"--{option}: '{code}' stands twice")
    return tuple(sorted(chosen))


@dataclass(frozen=True)
class Plan:
    """The directions of a scenario.

    Attributes:
        trained: Directions whose training and development sets are used.
        tested: Directions whose test sets are used; all of ``trained`` among them.
        samu_langs: Languages whose speech the distillation hears.
    """

    trained: tuple[Direction, ...]
    tested: tuple[Direction, ...]
    samu_langs: tuple[str, ...]


def make_plan(
    scenario: str,
    src_langs: Sequence[str] = (),
    tgt_langs: Sequence[str] = (),
    st_src_langs: Sequence[str] = (),
    samu_langs: Sequence[str] = (),
) -> Plan:
    """Work out the directions.

    Args:
        scenario: ``x2en``, all languages to English; ``m2m``, all to all;
            ``zeroshot``, tested as ``x2en`` and trained on some of the languages.
        src_langs: Languages spoken; default: all.
        tgt_langs: Languages of the translations; default: English, for m2m all.
        st_src_langs: For ``zeroshot`` only: the languages spoken in training.
        samu_langs: Languages of the distillation; default: all.

    Raises:
        ValueError: The options do not fit each other.
    """
    if scenario not in SCENARIOS:
        raise ValueError(f"--scenario {scenario} is not one of {' '.join(SCENARIOS)}")
    if scenario != "m2m" and tuple(tgt_langs) not in ((), ("en",)):
        raise ValueError(
            f"--tgt_langs {' '.join(tgt_langs)}: --scenario {scenario} translates to "
            "en; other targets need --scenario m2m"
        )
    targets = tgt_langs or (LANGUAGES if scenario == "m2m" else ("en",))
    tested = tuple(
        (src, tgt) for src in src_langs or LANGUAGES for tgt in targets if src != tgt
    )
    if not tested:
        raise ValueError(
            f"no direction is left of --src_langs {' '.join(src_langs)} and "
            f"--tgt_langs {' '.join(targets)}"
        )
    trained = tested
    if scenario == "zeroshot":
        spoken = {src for src, _ in tested}
        if not st_src_langs or not set(st_src_langs) < spoken:
            raise ValueError(
                f"--st_src_langs '{' '.join(st_src_langs)}': --scenario zeroshot "
                f"trains on some, not all, of {' '.join(sorted(spoken))}"
            )
        trained = tuple(pair for pair in tested if pair[0] in st_src_langs)
    elif st_src_langs:
        raise ValueError(
            f"--st_src_langs {' '.join(st_src_langs)} is for --scenario zeroshot; "
            f"--scenario {scenario} trains on all of --src_langs"
        )
    return Plan(trained, tested, tuple(samu_langs) or LANGUAGES)
