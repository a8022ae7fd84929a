"""The four source languages: which units are spoken, and what they say.

Numbers are joined from recordings ("veinti" + "dos" are one unit in Spanish up to 29,
"vingt" + "deux" two in French); the transcript is spelled as the language spells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from grammar import AGES, HALVES, STATUS, TEMPLATES, UNITS_OF_TIME, Content, slot_kinds


@dataclass(frozen=True)
class Phrase:
    """Units spoken without a break.

    Attributes:
        units: Unit ids, in the order they are spoken.
        text: The transcript.
    """

    units: tuple[str, ...]
    text: str


def number(lang: str, n: int, texts: Mapping[str, str]) -> Phrase:
    """Speak 0-99.

    Args:
        lang: es, fr, it or ru.
        n: 0-99.
        texts: Unit id -> transcript in this language.

    Returns:
        The number as one phrase.
    """

    def joined(units: list[str], glue: str = " ") -> Phrase:
        return Phrase(tuple(units), glue.join(texts[unit] for unit in units))

    tens, ones = n // 10 * 10, n % 10
    if n <= 20 or not ones:
        return joined([f"digits/{n}"])
    if lang == "es":
        if n < 30:
            return joined([f"digits/{n}"])
        return joined([f"digits/{tens}", "digits/and", f"digits/{ones}"])
    if lang == "it":
        if ones in (1, 8):  # the tens lose their vowel: recorded whole (ventuno)
            return joined([f"digits/{n}"])
        phrase = joined([f"digits/{tens}", f"digits/{ones}"], glue="")
        # "tre" alone, but "ventitré".
        return Phrase(phrase.units, phrase.text[:-1] + "é") if ones == 3 else phrase
    if lang == "fr":
        if tens in (70, 90):  # soixante-douze = 60 + 12
            tens, ones = tens - 10, ones + 10
        units = [f"digits/{tens}", f"digits/{ones}"]
        if ones in (1, 11) and tens != 80:  # vingt et un, but quatre-vingt-un
            return joined([units[0], "digits/et", units[1]])
        phrase = joined(units, glue="-")
        # Only 80 itself is written with s; it sounds the same.
        return Phrase(phrase.units, phrase.text.replace("vingts-", "vingt-"))
    return joined([f"digits/{tens}", f"digits/{ones}"])


def day_of_month(lang: str, n: int, texts: Mapping[str, str]) -> Phrase:
    """Speak 1-31 in a date: only Russian uses ordinals beyond the first."""
    if lang != "ru":
        return (
            Phrase(("digits/h-1",), texts["digits/h-1"])
            if n == 1
            else number(lang, n, texts)
        )
    units = [f"digits/h-{n}"]
    if n > 20 and n % 10:
        units = [f"digits/{n // 10 * 10}", f"digits/h-{n % 10}"]
    return Phrase(tuple(units), " ".join(texts[unit] for unit in units))


def slot(
    lang: str, kind: str, value: str | int, texts: Mapping[str, str]
) -> list[Phrase]:
    """Speak one slot of a template."""
    if kind in ("hour", "minute", "count", "number"):
        return [number(lang, int(value), texts)]
    if kind == "day":
        return [day_of_month(lang, int(value), texts)]
    if kind.startswith("digits"):
        units = [f"digits/{digit}" for digit in str(value)]
    elif kind == "weekday":
        units = [f"digits/day-{value}"]
    elif kind == "month":
        units = [f"digits/mon-{value}"]
    elif kind == "relative_day":
        units = [f"digits/{value}"]
    else:
        tables = {"half": HALVES, "status": STATUS, "unit_of_time": UNITS_OF_TIME}
        units = [(tables | {"age": AGES[lang]})[kind][str(value)]]
    return [Phrase((unit,), texts[unit]) for unit in units]


def speak(content: Content, lang: str, texts: Mapping[str, str]) -> list[Phrase]:
    """Speak a content.

    Args:
        content: What to say.
        lang: es, fr, it or ru.
        texts: Unit id -> transcript in this language.

    Returns:
        Phrases: a short pause belongs between them. The transcript is their texts
        joined by a space.

    Raises:
        KeyError: A unit that the recordings lack.
    """
    slots = dict(content.slots)
    if content.template == "word":
        unit = str(slots["unit"])
        return [Phrase((unit,), texts[unit])]
    patterns = TEMPLATES[content.template][1]
    kinds = slot_kinds(content.template)
    phrases: list[Phrase] = []
    for token in patterns.get(lang, patterns["*"]).split():
        if token.startswith("{"):
            name = token.strip("{}")
            phrases += slot(lang, kinds[name], slots[name], texts)
        else:
            phrases.append(Phrase((token,), texts[token]))
    return phrases


def transcript(phrases: list[Phrase]) -> str:
    """Return the transcript of spoken phrases."""
    return " ".join(phrase.text for phrase in phrases)
