#!/bin/sh
# install.sh SOURCE FOLDER: the package with its dependencies in FOLDER/autoinstrumentation (glibc) and
# FOLDER/autoinstrumentation-musl, the two folders from which the OpenTelemetry Operator copies.
# The oldest supported Python decides about versions, so that they run on each newer one. Compiled parts are optional:
# where their tag does not fit the application's Python, `wrapt` uses its Python code.
set -eu
source=$1 folder=$2 machine=$(uname -m)
python=${PYTHON:-python3}
wheels=$(mktemp -d)
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$wheels" "$source"
package=$(echo "$wheels"/*.whl)
install() { # TARGET PLATFORM...
    target=$1
    shift
    "$python" -m pip install --quiet --no-compile --target "$target" --only-binary=:all: --python-version 3.10 "$@" \
        "$package[httpx,requests,aiohttp,redis,celery]"
    rm -rf "$target/bin"
    chmod -R a+rX "$target"
}
install "$folder/autoinstrumentation" --platform "manylinux2014_$machine" --platform "manylinux_2_28_$machine"
install "$folder/autoinstrumentation-musl" --platform "musllinux_1_1_$machine" --platform "musllinux_1_2_$machine"
rm -rf "$wheels"
