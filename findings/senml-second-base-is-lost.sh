#!/usr/bin/env bash
# senml 0.1.0 (PyPI): only the first record's base name, base time and base value of a SenML pack are kept.
#
# RFC 8428, section 4.1, lets any record set new base fields, which hold from there on: that is how a logger puts several
# gauges into one pack. The package takes them from the first record alone; the measurements it hands out are not
# resolved either (name without the base name, time relative to nothing). Written out again, the second gauge's
# reading stands under the first gauge's name and time.
#
# Seen: two gauges in, both measurements named "level" without a time; to_json() gives the second one no base at all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check senml==0.1.0
"$folder/v/bin/python" - <<'PY'
from senml import SenMLDocument

pack = [
    {"bn": "upper-bridge:", "bt": 1276020000, "n": "level", "u": "m", "v": 1.25},
    {"bn": "lower-bridge:", "bt": 1276020600, "n": "level", "u": "m", "v": 3.5},
]
document = SenMLDocument.from_json(pack)
measured = [(m.name, m.time, m.value) for m in document.measurements]
written = document.to_json()
print(measured)
print(written)
assert measured == [("level", None, 1.25), ("level", None, 3.5)], "the behaviour has changed"
assert (written[0]["bn"], written[0]["bt"]) == ("upper-bridge:", 1276020000.0), "the behaviour has changed"
assert not {"bn", "bt"} & set(written[1]), "the behaviour has changed"
assert "lower-bridge" not in str(written), "the behaviour has changed"
PY
