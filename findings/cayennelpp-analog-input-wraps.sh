#!/usr/bin/env bash
# pycayennelpp 2.4.0 (PyPI): an analog input beyond +-327.67 is encoded as another number of the other sign, without an error.
#
# Cayenne LPP carries an analog value as a signed 16-bit number of hundredths. Other types of the package refuse what
# does not fit when the frame is encoded ("exceed value range"); an analog input does not. A level of 400.00 cm sent this way is read back as
# -255.36. So a gateway that is handed such frames cannot tell a wrapped level from an honest negative one: send metres,
# or a type of 32 bits (add_distance, in thousandths).
#
# Seen: 327.67 -> 327.67, 400.0 -> -255.36, -400.0 -> 255.36; add_load(70000) -> ValueError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check pycayennelpp==2.4.0
"$folder/v/bin/python" - <<'PY'
from cayennelpp import LppFrame


def there_and_back(value):
    frame = LppFrame()
    frame.add_analog_input(1, value)
    return LppFrame().from_bytes(bytes(frame)).data[0].value[0]


seen = {value: there_and_back(value) for value in (327.67, 400.0, -400.0)}
load = LppFrame()
load.add_load(1, 70000.0)
try:
    bytes(load)
    other = "accepted"
except ValueError:
    other = "ValueError"
print(seen, other)
assert seen == {327.67: 327.67, 400.0: -255.36, -400.0: 255.36}, "the behaviour has changed"
assert other == "ValueError", "the behaviour has changed"
PY
