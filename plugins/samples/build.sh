#!/usr/bin/env bash
# Builds samples into components/: NAME.wasm and its stamped manifest NAME.plugin.json. Names as arguments build those alone.
#
# VARCO names the program that builds them (default: target/debug/varco of this repository, built first). It finds the
# compilers and says what is missing; JavaScript samples get theirs from npm here.
set -euo pipefail
cd "$(dirname "$0")"

if [ -z "${VARCO:-}" ]; then
    cargo build --quiet --manifest-path ../../Cargo.toml -p varco
    VARCO=../../target/debug/varco
fi
if [ $# -eq 0 ]; then
    set -- */plugin.json
fi
for sample in "$@"; do
    sample="${sample%/plugin.json}"
    if [ -f "$sample/package.json" ] && [ ! -d "$sample/node_modules" ]; then
        # Not "npm ci": the compiler names bindings for other systems that were never published, and that refuses.
        (cd "$sample" && npm install --no-save --silent --no-audit --no-fund --ignore-scripts)
    fi
    "$VARCO" plugin build --locked --out components "$sample"
done
