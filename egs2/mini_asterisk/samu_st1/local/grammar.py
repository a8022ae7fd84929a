"""What the telephone system says: 15 sentence templates in five languages.

A *content* is a template with its slots filled, e.g. ``date`` with Monday, 5, May.
It has one English wording and can be spoken in Spanish, French, Italian and Russian
by joining recorded units (words and short phrases). The grammar is that of a voice
menu, not of literature: Russian dates use the masculine ordinal, because only that
one was recorded, and clock times are read out number by number.

The slots keep to what all four languages can say correctly with the recordings:

* numbers end at 99: nothing between 200 and 900 was recorded for it, fr and ru;
* *counted* nouns take 5-20 and n5-n9, n0 only: Russian has just the genitive plural
  ("пять минут", but "две минуты"), and 21 or 31 would also need "un" in es and it;
* hours are 2-12: "one" would need "a la una", "una" and "une heure";
* minutes are 10-59: below ten English says "oh five".
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

LANGUAGES = ("es", "fr", "it", "ru")
# Percent of the contents: the rest is training.
TEST_PERCENT, DEV_PERCENT = 12, 4

# English wordings, in lower case.
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = (
    "- first second third fourth fifth sixth seventh eighth ninth tenth eleventh "
    "twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth "
    "nineteenth"
).split()
TENTHS = {20: "twentieth", 30: "thirtieth"}
WEEKDAYS = "sunday monday tuesday wednesday thursday friday saturday".split()
MONTHS = (
    "january february march april may june july august september october november "
    "december"
).split()
RELATIVE_DAYS = ("today", "tomorrow", "yesterday")

# February 29 is a date; February 30 is none.
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
HALVES = {"am": "digits/a-m", "pm": "digits/p-m"}
STATUS = {"is unavailable": "vm-isunavail", "is on the phone": "vm-isonphone"}
UNITS_OF_TIME = {"minutes": "queue-minutes", "seconds": "queue-seconds"}
# "nuovo" was recorded in the singular too; the sentences need the plural.
AGES = {lang: {"new": "vm-INBOX", "old": "vm-Old"} for lang in LANGUAGES} | {
    "it": {"new": "vm-nuovi", "old": "vm-vecchi"}
}

COUNTS = [n for n in range(5, 100) if n <= 20 or n % 10 in (0, 5, 6, 7, 8, 9)]
HOURS, MINUTES = range(2, 13), range(10, 60)
DIGITS = "0123456789"

# Words that alone tell which content it is (slots.txt): everything else is template.
SLOT_WORDS = sorted(
    {*ONES, *TENS[2:], *ORDINALS[1:], *TENTHS.values(), *WEEKDAYS, *MONTHS}
    | {*RELATIVE_DAYS, *HALVES}
)


@dataclass(frozen=True)
class Content:
    """One meaning.

    Attributes:
        template: A key of ``TEMPLATES`` or ``word``.
        slots: Slot name -> value, in the order of the English sentence.
        english: The English wording, lower case and without punctuation.
    """

    template: str
    slots: tuple[tuple[str, str | int], ...]
    english: str


# template: (slots, patterns). A slot "a:count" is named a and of kind count. Words
# of a pattern are slots in braces, units of the recordings, or (en) plain words.
TEMPLATES: dict[str, tuple[str, dict[str, str]]] = {
    "date": (
        "weekday:weekday month:month day:day",
        {
            "en": "{weekday} {month} {day}",
            "es": "{weekday} {day} digits/es-de {month}",
            "*": "{weekday} {day} {month}",
        },
    ),
    "clock": (
        "h:hour m:minute half:half",
        {
            "en": "{h} {m} {half}",
            "fr": "{h} hours {m} {half}",
            "it": "{h} digits/e {m} {half}",
            "*": "{h} {m} {half}",
        },
    ),
    "relative_day_time": (
        "d:relative_day h:hour m:minute",
        {
            "en": "{d} at {h} {m}",
            "fr": "{d} digits/at {h} hours {m}",
            "it": "{d} digits/at {h} digits/e {m}",
            "*": "{d} digits/at {h} {m}",
        },
    ),
    "weekday_time": (
        "d:weekday h:hour m:minute",
        {
            "en": "{d} at {h} {m}",
            "fr": "{d} digits/at {h} hours {m}",
            "it": "{d} digits/at {h} digits/e {m}",
            "*": "{d} digits/at {h} {m}",
        },
    ),
    "messages": (
        "a:count b:count",
        {
            "en": "you have {a} new and {b} old messages",
            "it": "vm-youhave {a} vm-nuovi vm-and {b} vm-vecchi vm-messages",
            "*": "vm-youhave {a} vm-INBOX vm-and {b} vm-Old vm-messages",
        },
    ),
    "hold_time": (
        "a:count b:count",
        {
            "en": "the estimated hold time is {a} minutes {b} seconds",
            "*": "queue-holdtime {a} queue-minutes {b} queue-seconds",
        },
    ),
    "hours_minutes": (
        "a:count b:count",
        {
            "en": "{a} hours and {b} minutes",
            "*": "{a} hours vm-and {b} minutes",
        },
    ),
    "caller_number": (
        "n:number",
        {"en": "you are caller number {n}", "*": "queue-thereare {n}"},
    ),
    "extension": (
        "n:digits3 status:status",
        {
            "en": "the person at extension {n} {status}",
            "*": "vm-theperson {n} {status}",
        },
    ),
    "phone_number": (
        "n:digits4",
        {
            "en": "message from phone number {n}",
            # The other languages' recording already begins with "message".
            "fr": "vm-message vm-from-phonenumber {n}",
            "*": "vm-from-phonenumber {n}",
        },
    ),
    "conference": (
        "n:digits3",
        {"en": "you are entering conference number {n}", "*": "conf-enteringno {n}"},
    ),
    "participants": (
        "n:count",
        {
            "en": "there are currently {n} participants in the conference",
            # conf-thereare would say "in the conference" twice in Russian.
            "ru": "confbridge-there-are {n} confbridge-participants",
            "*": "conf-thereare {n} confbridge-participants",
        },
    ),
    "less_than": (
        "n:count unit:unit_of_time",
        {"en": "less than {n} {unit}", "*": "queue-less-than {n} {unit}"},
    ),
    "dollars": ("n:count", {"en": "{n} dollars", "*": "{n} digits/dollars"}),
    "press": (
        "n:digits1 age:age",
        {
            "en": "press {n} for {age} messages",
            "*": "vm-press {n} vm-for {age} vm-messages",
        },
    ),
}

# Single words, always training: English -> unit.
WORDS: dict[str, str] = (
    {ONES[n]: f"digits/{n}" for n in range(20)}
    | {TENS[n // 10]: f"digits/{n}" for n in range(20, 100, 10)}
    | {word: f"digits/day-{i}" for i, word in enumerate(WEEKDAYS)}
    | {word: f"digits/mon-{i}" for i, word in enumerate(MONTHS)}
    | {word: f"digits/{word}" for word in RELATIVE_DAYS}
    | HALVES
    | {word: word for word in ("hours", "minutes", "seconds")}
    | {word: f"vm-{word}" for word in ("and", "messages", "message", "press")}
    | {w: f"vm-{w}" for w in "saved received password goodbye first last".split()}
    | {word: f"digits/{word}" for word in ("dollars", "minus", "thousand", "star")}
    | {"less than": "queue-less-than", "thank you": "auth-thankyou"}
)

VALUES: dict[str, list[str | int]] = {
    "weekday": list(range(7)),
    "month": list(range(12)),
    "day": list(range(1, 32)),
    "hour": list(HOURS),
    "minute": list(MINUTES),
    "half": list(HALVES),
    "relative_day": list(RELATIVE_DAYS),
    "count": list(COUNTS),
    "number": list(range(1, 100)),
    "status": list(STATUS),
    "unit_of_time": list(UNITS_OF_TIME),
    "age": ["new", "old"],
} | {
    f"digits{n}": ["".join(d) for d in itertools.product(DIGITS, repeat=n)]
    for n in (1, 3, 4)
}


def english_number(n: int) -> str:
    """Spell 0-99 in English words without hyphens."""
    if n < 20:
        return ONES[n]
    return TENS[n // 10] + (f" {ONES[n % 10]}" if n % 10 else "")


def english_ordinal(n: int) -> str:
    """Spell the ordinal 1-31 in English words."""
    if n < 20:
        return ORDINALS[n]
    return f"{TENS[n // 10]} {ORDINALS[n % 10]}" if n % 10 else TENTHS[n]


def english_slot(kind: str, value: str | int) -> str:
    """Word a slot in English."""
    if kind in ("hour", "minute", "count", "number"):
        return english_number(int(value))
    if kind == "day":
        return english_ordinal(int(value))
    if kind.startswith("digits"):
        return " ".join(ONES[int(digit)] for digit in str(value))
    if kind == "weekday":
        return WEEKDAYS[int(value)]
    return MONTHS[int(value)] if kind == "month" else str(value)


def slot_kinds(template: str) -> dict[str, str]:
    """Return slot name -> kind of a template."""
    return dict(slot.split(":") for slot in TEMPLATES[template][0].split())


def contents_of(template: str) -> Iterator[Content]:
    """Yield every content of a template, in a fixed order."""
    kinds = slot_kinds(template)
    pattern = TEMPLATES[template][1]["en"]
    for values in itertools.product(*(VALUES[kind] for kind in kinds.values())):
        slots = dict(zip(kinds, values))
        if template == "date" and int(slots["day"]) > MONTH_DAYS[int(slots["month"])]:
            continue
        worded = {name: english_slot(kinds[name], v) for name, v in slots.items()}
        yield Content(template, tuple(slots.items()), pattern.format(**worded))


def single_words() -> list[Content]:
    """Return the contents of one word (or fixed phrase)."""
    return [Content("word", (("unit", unit),), word) for word, unit in WORDS.items()]


def split_of(content: Content) -> str:
    """Tell train, dev or test by a hash of the English sentence.

    So all languages, both tasks and the teacher's bitext agree without a shared list.
    """
    if content.template == "word":
        return "train"
    digest = hashlib.sha256(content.english.encode()).hexdigest()
    percent = int(digest, 16) % 10_000 / 100
    if percent < TEST_PERCENT:
        return "test"
    return "dev" if percent < TEST_PERCENT + DEV_PERCENT else "train"
