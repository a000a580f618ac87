#!/bin/sh
# Makes a virtual environment, also where Debian's python3 came without its venv package.
# Usage: venv.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "python3 came without venv; installing Debian's package python3-venv"
        apt-get update -qq
        apt-get install -y -qq python3-venv >/dev/null
    else
        echo "error: this python3 has no venv module; install it: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
"$python" -m venv "$folder"
