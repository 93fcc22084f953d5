#!/usr/bin/env bash
# Builds varco compiled by a profile of its own work (PGO), and, with --bolt, its code laid out by a second profile.
#
#   conformance/bench/gateway/dist.sh            # writes target/dist/varco
#   conformance/bench/gateway/dist.sh --bolt     # the same, laid out by llvm-bolt (Debian: bolt-22)
#
# Takes two builds and a minute or two of requests after each. Needs what train.py needs, and rustup's llvm-tools.
set -euo pipefail
cd "$(dirname "$0")/../../.."
bolt=
case "${1:-}" in
  "") ;;
  --bolt)
    bolt=$(compgen -c llvm-bolt | grep -Ex 'llvm-bolt(-[0-9]+)?' | sort -V | tail -n 1 || true)
    [ -n "$bolt" ] || { echo "llvm-bolt is missing: apt-get install bolt-22" >&2; exit 1; }
    ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
export CARGO_INCREMENTAL=0
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
[ -x "$tools/llvm-profdata" ] || rustup component add llvm-tools
[ -x "$tools/llvm-profdata" ] || { echo "llvm-profdata is missing: rustup component add llvm-tools" >&2; exit 1; }
dist=$PWD/target/dist
rm -rf "$dist/counts"
mkdir -p "$dist/counts"

# build FOLDER FLAGS: with --target, build scripts and macros are built as always.
build() { RUSTFLAGS=$2 cargo build --release -p varco --target "$host" --target-dir "$dist/$1"; }
train() { conformance/bench/gateway/train.py --varco "$1"; }

build instrumented "-Cprofile-generate=$dist/counts"
train "$dist/instrumented/$host/release/varco"
"$tools/llvm-profdata" merge -o "$dist/varco.profdata" "$dist/counts"
# What the linker moved is kept for llvm-bolt to move again.
build optimised "-Cprofile-use=$dist/varco.profdata ${bolt:+-Clink-arg=-Wl,--emit-relocs}"
optimised=$dist/optimised/$host/release/varco
if [ -n "$bolt" ]; then
  "$bolt" "$optimised" -instrument -o "$dist/counting" --instrumentation-file="$dist/counts/bolt" --instrumentation-file-append-pid
  train "$dist/counting"
  "merge-fdata${bolt#llvm-bolt}" "$dist"/counts/bolt.* -o "$dist/varco.fdata"
  "$bolt" "$optimised" -o "$dist/varco" -data="$dist/varco.fdata" -reorder-blocks=ext-tsp -reorder-functions=cdsort \
    -split-functions -split-all-cold -split-eh -icf=all
  rm "$dist/counting"
else
  cp "$optimised" "$dist/varco"
fi
echo "$dist/varco"
