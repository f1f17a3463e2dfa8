#!/bin/sh
# Makes /opt/touge, a virtual environment with what one extra needs and nothing else: `sh dependencies.sh EXTRA`.
# Every file is checked against the hashes of constraints.txt. pip lives in /opt/build, which stays behind.
set -eu
. ./pip.sh

python3 -m venv /opt/build
python3 -m venv --without-pip /opt/touge
/opt/build/bin/python pins.py "$1" >/opt/build/requirements.txt
/opt/build/bin/pip --python /opt/touge/bin/python install --quiet --no-compile --no-deps --only-binary :all: \
  --require-hashes --requirement /opt/build/requirements.txt
# Some packages hold files for other Pythons, which are left as they are.
compile -q /opt/touge/lib || true
