#!/usr/bin/env bash
# openpyxl 3.1.5 and python-calamine 0.9.1 (PyPI): in one column of a workbook, hour 24 and midnight come back as another
# type than the hours beside them.
#
# Tables of hourly levels count the hours of a day from 1 to 24. A spreadsheet keeps hour 24 (shown as 24:00 or 0:00) as the
# number 1.0 with a format of time, and midnight of a dated column as a whole number. openpyxl reads 23:00 as a time and hour
# 24 as a datetime of 1900-01-01. calamine reads it as a date of 1900-01-01, and every midnight of a dated column as a date,
# without an hour, beside the datetimes of the other rows. Code that takes only `time`, or only `datetime`, loses one reading a day, always
# the same one; code that takes the day of 1900 for the day of the reading files it 126 years away. Read a column by what each cell
# is, and take a date for its midnight. With the format [h]:mm both give a timedelta for every hour.
#
# Seen: openpyxl h:mm time, time, datetime 1900-01-01; dated datetime, datetime, datetime.
#       calamine h:mm time, time, date 1900-01-01; dated datetime, datetime, date.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check openpyxl==3.1.5 python-calamine==0.9.1
cd "$folder"
"$folder/v/bin/python" - <<'PY'
import datetime as dt

import openpyxl
from python_calamine import CalamineWorkbook

HOURS, DAY = (1, 23, 24), 46217  # 2026-07-14
book = openpyxl.Workbook()
for row, hour in enumerate(HOURS, start=1):
    for column, (value, shown) in enumerate(
        ((hour / 24, "h:mm"), (hour / 24, "[h]:mm"), (DAY + hour / 24, "yyyy/m/d h:mm")), start=1
    ):
        cell = book.active.cell(row, column, value)
        cell.number_format = shown
book.save("hours.xlsx")

readers = {
    "openpyxl": [list(row) for row in openpyxl.load_workbook("hours.xlsx").active.iter_rows(values_only=True)],
    "calamine": CalamineWorkbook.from_path("hours.xlsx").get_sheet_by_index(0).to_python(),
}
types = {}
for name, rows in readers.items():
    clock, span, dated = ([row[i] for row in rows] for i in range(3))
    types[name] = tuple(" ".join(type(v).__name__ for v in column) for column in (clock, span, dated))
    print(name, clock, span, dated, sep="\n  ")
assert types["openpyxl"] == ("time time datetime", "timedelta timedelta timedelta", "datetime datetime datetime"), types
assert types["calamine"] == ("time time date", "timedelta timedelta timedelta", "datetime datetime date"), types
assert readers["openpyxl"][2][0] == dt.datetime(1900, 1, 1), "the behaviour has changed"
assert readers["calamine"][2][0] == dt.date(1900, 1, 1), "the behaviour has changed"
assert readers["calamine"][2][2] == dt.date(2026, 7, 15), "the behaviour has changed"
PY
