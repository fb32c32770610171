#!/usr/bin/env bash
# Make a virtual environment with the project, pytest and a lean stable-audio-tools 0.0.19: tests/host/install.sh VENV
# Afterwards: VENV/bin/python -m pytest -n 0 -m host
set -euo pipefail

if [ "$#" -ne 1 ]; then
  echo "usage: $0 VENV" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=$1

"${PYTHON:-python3}" -m venv "$venv"
cd "$root"
"$venv/bin/pip" install -c constraints.txt -r tests/host/requirements.txt '.[dev,text]'
"$venv/bin/pip" install --no-deps -c constraints.txt stable-audio-tools k-diffusion
