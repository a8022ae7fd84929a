"""English wordings: numbers, ordinals, days and months in lower-case words."""

from __future__ import annotations

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
