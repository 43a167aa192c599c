#!/bin/sh
# Builds the shim with cargo and puts it where Bun loads it. Nothing is rebuilt that did not change.
set -eu
cd "$(dirname "$0")"
cargo build --release --locked ${CI:+--quiet}
cmp -s target/release/libdrover.so drover.node || cp target/release/libdrover.so drover.node
