#!/bin/sh
# OpenVINO 2026.4.1: two Cores, the older one dropped first, leave their thread a signal stack that is freed memory.
#
# Expected: a library that moves a thread's alternative signal stack (sigaltstack) gives it back, or leaves one that exists.
# Behaviour: each Core with the CPU plugin sets a stack of its own and keeps what was there before. Dropped, it puts that back
#   only if its own is still set, and frees its own in any case. So of two the second puts back that of the first, which is freed.
#   A compiled model keeps its Core's plugin alive, so that "one Core a model" is enough.
# What it costs: CPython's handlers run on that stack where one is set (faulthandler and pytest set one). After this the next
#   signal with a handler ends the process without a word, of faulthandler either: a child that ends, where a data loader
#   watches its workers. No signal is sent here.
# Work-around: one Core a process.
#
# Seen on 2026-11-29 (Linux, x86-64, Python 3.11):
#   faulthandler            mapped
#   newer one dropped first mapped
#   two Cores               mapped
#   older one dropped       mapped
#   both dropped            freed
#   as described
#
# Exit status: 0 while this is so, 1 when it changes.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    openvino==2026.4.1 numpy==2.4.6 openvino-telemetry==2025.2.0
cat > "$dir/finding.py" <<'EOF'
import ctypes
import faulthandler
import os
import sys
from pathlib import Path

import openvino


class Stack(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def signal_stack():
    """Whether the memory of this thread's alternative signal stack exists."""
    stack = Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    spans = (line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines())
    held = any(int(start, 16) <= (stack.address or 0) < int(end, 16) for start, end in spans)
    return "mapped" if held else "freed"


def core():
    """A Core with the CPU plugin."""
    made = openvino.Core()
    made.get_property("CPU", "FULL_DEVICE_NAME")
    return made


seen = {}
faulthandler.enable()
seen["faulthandler"] = signal_stack()
first, second = core(), core()
del second, first
seen["newer one dropped first"] = signal_stack()
first, second = core(), core()
seen["two Cores"] = signal_stack()
del first
seen["older one dropped"] = signal_stack()
del second
seen["both dropped"] = signal_stack()

for name, found in seen.items():
    print(f"{name:23} {found}")
as_described = [name for name, found in seen.items() if found == "freed"] == ["both dropped"]
print("as described" if as_described else "CHANGED: no longer as described")
sys.stdout.flush()
os._exit(0 if as_described else 1)  # nothing runs on that stack
EOF
"$dir/venv/bin/python" "$dir/finding.py"
