"""Reads texts, each behind its length in four bytes. Writes a 1 for each that is a JSON object, and a 0 for others."""
import json
import struct
import sys


def refuse(word):
    raise ValueError(word)


def is_object(text):
    try:
        return isinstance(json.loads(text.decode(), parse_constant=refuse), dict)
    except ValueError:
        return False


while length := sys.stdin.buffer.read(4):
    sys.stdout.write("01"[is_object(sys.stdin.buffer.read(*struct.unpack("<I", length)))])
