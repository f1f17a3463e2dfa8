#!/bin/sh
# First step of every image: refuses a base on which a later step would fail in harder words.
set -eu

refuse() {
  echo "BASE_IMAGE $1; expected Debian or a descendant of it with Python 3.11 or newer, pip and venv, such as python:3.11-slim-bookworm" >&2
  exit 1
}

command -v dpkg >/dev/null && command -v apt-get >/dev/null ||
  refuse "is $(. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-}" || echo "no Linux distribution")"
command -v python3 >/dev/null || refuse "has no python3"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || refuse "has $(python3 --version)"
python3 -c 'import ensurepip, venv' 2>/dev/null || refuse "has Python without ensurepip and venv (python3-venv)"
