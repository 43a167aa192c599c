#!/bin/sh
# Builds the shim with cargo and puts it where Bun loads it. Nothing is rebuilt that did not change.
set -eu
cd "$(dirname "$0")"
cargo build --release --locked ${CI:+--quiet}
# Renamed into place, never copied over: a running process has the old file mapped.
cmp -s target/release/libdrover.so drover.node || {
	cp target/release/libdrover.so "drover.node.$$"
	mv "drover.node.$$" drover.node
}
