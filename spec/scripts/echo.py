"""Reads JSON lines. Writes two for each: what it read, with the floats as they were spelt (so that it is the same
text when everything was understood), and Python's own encoding of it. Says where a float is not in its shortest form:
it has more digits than repr gives it."""
import json
import sys


class Spelt(float):
    def __new__(cls, text):
        value = super().__new__(cls, text)
        value.text = text
        return value


def digits(text):
    mantissa = text.lower().split("e")[0].replace("-", "").replace(".", "")
    return len(mantissa.strip("0"))


def number(text):
    value = Spelt(text)
    if digits(text) > digits(float.__repr__(value)):
        sys.exit("%s is not the shortest form of %r" % (text, float(text)))
    return value


def spell(value):
    if isinstance(value, Spelt):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(spell(key) + ":" + spell(item) for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spell, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


for line in sys.stdin:
    read = json.loads(line, parse_float=number)
    print(spell(read))
    print(json.dumps(read, separators=(",", ":")))
