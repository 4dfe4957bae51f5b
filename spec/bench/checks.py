# Checks a file of JSON lines by fastjsonschema: checks.py FILE SCHEMA. Prints the seconds, and how many lines are bad.
import json
import sys
import time

import fastjsonschema

with open(sys.argv[2]) as file:
    validate = fastjsonschema.compile(json.load(file))
began, bad = time.monotonic(), 0
with open(sys.argv[1]) as file:
    for line in file:
        try:
            validate(json.loads(line))
        except fastjsonschema.JsonSchemaException:
            bad += 1
print(time.monotonic() - began, bad)
