# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Python packages from PyPI that Debian lacks, in build/python, which is nobody's system.

# pip_install FOLDER: exactly what FOLDER/requirements.txt says, with its hashes, if that has changed since the last time.
# Nothing depends on it alone: where PyPI can't be reached, it says so, and what would use them is not run.
pip_install() {
    local folder=$1 stamp=build/python/installed wanted
    wanted="$(sha256sum <"$folder/requirements.txt") $(/usr/bin/python3 --version)"
    if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
        return
    fi
    step "Installing Python packages of $folder in build/python"
    rm -rf build/python
    if quietly pip.log pip_fetch "$folder"; then
        echo "$wanted" >"$stamp"
    else
        rm -rf build/python
        say "PyPI could not be reached: what $folder/requirements.txt names does not judge our files this time."
    fi
}

pip_fetch() {
    /usr/bin/python3 -m venv build/python &&
        build/python/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-input \
            --timeout 20 --retries 1 --only-binary :all: --require-hashes -r "$1/requirements.txt"
}
