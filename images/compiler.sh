#!/bin/sh
# Installs what Triton needs to build its launcher at run time: gcc, libc's headers, Python's headers; proves it.
set -eu
export DEBIAN_FRONTEND=noninteractive
header=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')

apt-get update --quiet=2
apt-get install --quiet=2 --yes --no-install-recommends gcc libc6-dev >/dev/null
# A Python that Debian built has its headers in a package of their own, another one beside it.
if [ ! -e "$header" ]; then apt-get install --quiet=2 --yes --no-install-recommends libpython3-dev >/dev/null; fi
echo '#include <Python.h>' | gcc -fsyntax-only -I "$(dirname "$header")" -x c -

# What holds the time of this build.
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache
rm -rf /var/log/apt /var/log/alternatives.log /var/log/dpkg.log
