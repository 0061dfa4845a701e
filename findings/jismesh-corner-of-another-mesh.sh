#!/usr/bin/env bash
# jismesh 2.1.0 (PyPI): the south-west corner that it gives for a grid square often lies in the square below.
#
# Japanese disaster data (rain, damage, exposed people) are keyed by the grid squares of JIS X 0410. A square's own
# south-west corner belongs to it. to_meshpoint(code, 0, 0) gives the corner as floats that are a little too small in about
# half of the squares of the third level, so that to_meshcode of it names the neighbour: whoever joins two tables by going
# from code to corner and back shifts those rows by a kilometre. Use the centre (0.5, 0.5), or compare codes as text.
#
# Seen: of 640 squares one above the other from 20 N on at 139 E, 336 corners name another square; no centre does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check jismesh==2.1.0 'numpy<3'
"$folder/v/bin/python" - <<'PY'
import jismesh.utils as mesh

codes = [mesh.to_meshcode(20 + i / 120 + 1 / 240, 139.00625, 3) for i in range(640)]
assert len(set(map(int, codes))) == 640
corners = sum(int(mesh.to_meshcode(*mesh.to_meshpoint(code, 0, 0), 3)) != int(code) for code in codes)
centres = sum(int(mesh.to_meshcode(*mesh.to_meshpoint(code, 0.5, 0.5), 3)) != int(code) for code in codes)
print(f"corners that name another square: {corners} of 640; centres: {centres}")
assert (corners, centres) == (336, 0), "the behaviour has changed"
PY
