"""What a person may mean by text that stands where a number belongs, and how to write it."""

from __future__ import annotations

import re

NUMERIC = re.compile(r"\s*[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\s*")
"""A number as it is to be written."""

_AMOUNT = re.compile(
    r"([-+]?)([0-9][0-9_,. ]*) ?([kKMGBT]|million|bn|billion)?(?: ?(?:tokens?|h|hours?|accelerators?|GPUs?))?"
)
_EXPONENT = {"": "", "k": "e3", "K": "e3", "M": "e6", "million": "e6", "T": "e12"}
_EXPONENT |= dict.fromkeys(("G", "B", "bn", "billion"), "e9")

_PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?")
_BY_COMMAS = re.compile(r"[0-9]{1,3}(,[0-9]{2,3})*,[0-9]{3}(\.[0-9]+)?")  # in pairs, too, as in 12,34,567
_BY_POINTS = re.compile(r"[0-9]{1,3}(\.[0-9]{3})+,[0-9]+")
_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]+")


def as_number(text: str, *, whole: bool = False) -> str:
    """What to do about text in place of a number (a whole one); "" where it does not even look like one.

    >>> as_number("120M"), as_number("4e9"), as_number("many")
    ('Write it out, without quotes: 120e6.', 'Write it without quotes.', '')
    >>> as_number("45,0"), as_number("1.234,50")
    ('Write it with a point: 45.0.', 'Write it with a point: 1234.50.')
    >>> as_number("45,000")
    'Write 45000 or 45.000, whichever is meant.'
    """
    if NUMERIC.fullmatch(text):
        return "Write it without quotes."
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        return ""
    sign, digits, unit = found.groups(default="")
    thousands, decimal = _readings(re.sub("[_ ]", "", digits))
    if whole:
        decimal = ""
    ready = [f"{'-' if sign == '-' else ''}{n}{_EXPONENT[unit]}" for n in (thousands, decimal) if n]
    if not ready:
        return ""
    if len(ready) > 1:
        return f"Write {' or '.join(ready)}, whichever is meant."
    return f"Write it with a point: {ready[0]}." if decimal else f"Write it out, without quotes: {ready[0]}."


def _readings(digits: str) -> tuple[str, str]:
    """The number where a comma parts thousands, and where it is the decimal one; "" where it cannot be."""
    thousands = digits.replace(",", "") if _PLAIN.fullmatch(digits) or _BY_COMMAS.fullmatch(digits) else ""
    decimal = ""
    if _BY_POINTS.fullmatch(digits) or _DECIMAL_COMMA.fullmatch(digits):
        decimal = digits.replace(".", "").replace(",", ".")
    if thousands.startswith("0") and decimal:
        thousands = ""  # nobody parts the thousands of 0,500
    return thousands, decimal
