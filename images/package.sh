#!/bin/sh
# Installs touge itself into /opt/package, which is laid over /opt/touge: a layer of its own, so that a change of code is a
# small pull. Bakes its code digests, in which an image and a source checkout agree.
set -eu
. ./pip.sh

/opt/build/bin/python pins.py --only setuptools >/opt/build/requirements.txt
/opt/build/bin/pip install --quiet --no-deps --only-binary :all: --require-hashes --requirement /opt/build/requirements.txt
: >README.md # nobody reads it in an image, which so does not change with it
/opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /opt/build/wheels .
/opt/build/bin/pip --python /opt/touge/bin/python install --quiet --no-compile --no-deps --no-index --prefix /opt/package \
  /opt/build/wheels/*.whl
compile -s /opt/package -p /opt/touge /opt/package/lib
PYTHONPATH=src /opt/touge/bin/python -m touge.storage.sources >/opt/package/code-digests.json
