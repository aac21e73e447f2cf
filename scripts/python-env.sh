#!/bin/sh
# python-env.sh: a Python environment in build/python with the independent judges of some tests (fastavro reads our files,
# FAISS checks the quantiser). Kept as long as scripts/python-packages.txt stays the same. Without a network the
# environment is absent and those tests are skipped: that is no error.
set -eu
cd "$(dirname "$0")/.."
folder=build/python
wanted=scripts/python-packages.txt
if [ -x "$folder/bin/python" ] && cmp -s "$wanted" "$folder/installed.txt"; then
    exit 0
fi
mkdir -p build
rm -rf "$folder"
echo "python environment for the tests with independent judges: $(tr '\n' ' ' < "$wanted")"
if ! python3 -m venv "$folder" > build/python-env.log 2>&1; then
    rm -rf "$folder"
    echo "  no venv (build/python-env.log); the tests that need it are skipped"
    exit 0
fi
while read -r package; do
    echo "  $package"
    if ! "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --timeout 20 --retries 1 \
        "$package" >> build/python-env.log 2>&1; then
        rm -rf "$folder"
        echo "  cannot be installed (build/python-env.log); the tests that need it are skipped"
        exit 0
    fi
done < "$wanted"
cp "$wanted" "$folder/installed.txt"
