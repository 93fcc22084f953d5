#!/usr/bin/env bash
# Builds every folder that has a plugin.json into components/NAME.wasm with its stamped manifest
# components/NAME.plugin.json. The folder's name is the crate's name.
#
# WASM_CARGO and WASM_RUSTC name the toolchain for WebAssembly (default: cargo and rustc). Where that toolchain has no
# ready standard library for wasm32-unknown-unknown, the library is built from source, which needs rust-src and a
# linker: WASM_LINKER (default: rust-lld).
set -euo pipefail
cd "$(dirname "$0")"

export CARGO_TARGET_DIR="$PWD/target"
target=wasm32-unknown-unknown
wasm_cargo="${WASM_CARGO:-cargo}"
wasm_rustc="${WASM_RUSTC:-rustc}"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"

# The bytes must not depend on where they were built.
flags="--remap-path-prefix=$PWD=samples --remap-path-prefix=$(cd ../sdk-rust && pwd)=sdk"
for registry in "$cargo_home"/registry/src/*; do
    flags="$flags --remap-path-prefix=$registry=dependencies"
done
from_source=()
if [ -z "$(find "$("$wasm_rustc" --print target-libdir --target $target)" -name 'libstd-*' 2>/dev/null)" ]; then
    from_source=(-Zbuild-std=std,panic_abort)
    flags="$flags --remap-path-prefix=$("$wasm_rustc" --print sysroot)=rust"
    export RUSTC_BOOTSTRAP=1
fi
if [ -n "${WASM_LINKER:-}" ]; then
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$WASM_LINKER"
fi

for manifest in */plugin.json; do
    sample="${manifest%/plugin.json}"
    RUSTC="$wasm_rustc" CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$flags" \
        "$wasm_cargo" build --quiet --release --locked --target $target "${from_source[@]}" -p "$sample"
    cargo run --quiet --locked -p componentize -- \
        "$CARGO_TARGET_DIR/$target/release/${sample//-/_}.wasm" "$manifest" components
done
