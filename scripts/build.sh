#!/bin/sh
# build.sh PRESET [TARGET...]: configures and builds one preset of CMakePresets.json. Quiet where all is well, whole where it is not.
set -eu
preset=$1
shift
[ $# -eq 0 ] || set -- --target "$@"
cd "$(dirname "$0")/.."
mkdir -p build
log=build/configure-$preset.log
echo "configure and build: $preset"
# the tests with independent judges ask scripts/python-env.sh's interpreter, where there is one
python=$PWD/build/python/bin/python
[ -x "$python" ] || python=python3
cmake --preset "$preset" -D COLDSTREAM_PYTHON="$python" > "$log" 2>&1 || { cat "$log"; exit 70; }
if [ -t 1 ]; then
    exec cmake --build --preset "$preset" "$@"
fi

# no terminal: a line now and then instead of one per file
log=build/build-$preset.log
cmake --build --preset "$preset" "$@" > "$log" 2>&1 &
builder=$!
trap 'kill $builder; exit 130' INT TERM
seconds=0
while kill -0 "$builder" 2> /dev/null; do
    sleep 1
    seconds=$((seconds + 1))
    [ $((seconds % 10)) -ne 0 ] || echo "  $(grep -o '^\[[0-9]*/[0-9]*\]' "$log" | tail -n 1)"
done
wait "$builder" || { grep -v '^\[' "$log" | head -n 100; exit 70; }
