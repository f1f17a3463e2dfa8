#!/bin/sh
# Installs touge itself into /opt/touge and bakes its code digests, in which an image and a source checkout agree.
set -eu
. ./pip.sh

/opt/build/bin/python pins.py --only setuptools >/opt/build/requirements.txt
/opt/build/bin/pip install --quiet --no-deps --only-binary :all: --require-hashes --requirement /opt/build/requirements.txt
: >README.md # nobody reads it in an image, which so does not change with it
/opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /opt/build/wheels .
/opt/build/bin/pip --python /opt/touge/bin/python install --quiet --no-compile --no-deps --no-index /opt/build/wheels/*.whl
compile /opt/touge/lib/python3*/site-packages/touge /opt/touge/lib/python3*/site-packages/controller
PYTHONPATH=src /opt/touge/bin/python -m touge.storage.sources >/opt/touge/code-digests.json
