#!/usr/bin/env bash
# Build what a release publishes: tools/release.sh VERSION. The sdist and the wheel go to dist/, the bill of materials to build/.
set -euo pipefail
cd "$(dirname "$0")/.."
version="${1:?usage: tools/release.sh VERSION}"
grep -qx "version = \"$version\"" pyproject.toml || { echo "pyproject.toml has another version than $version" >&2; exit 1; }
grep -q "^## \[$version\]" CHANGELOG.md || { echo "CHANGELOG.md has no section [$version]" >&2; exit 1; }

tools="$(mktemp -d)"
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools/tools"
"$tools/tools/bin/pip" install --quiet build==1.* cyclonedx-bom==7.* twine==7.*
rm -rf dist
mkdir -p build
# The time of the commit instead of now: the same commit gives the same bytes.
SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" "$tools/tools/bin/python" -m build --outdir dist .
"$tools/tools/bin/twine" check --strict dist/*

# The bill of materials lists what the plain install brings, at the versions of today.
python3 -m venv --without-pip "$tools/plain"
"$tools/tools/bin/pip" --python "$tools/plain/bin/python" install --quiet dist/*.whl
"$tools/tools/bin/cyclonedx-py" environment --pyproject pyproject.toml --output-reproducible \
    --output-file build/sbom.cdx.json "$tools/plain/bin/python"
sha256sum dist/* build/sbom.cdx.json
