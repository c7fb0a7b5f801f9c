#!/usr/bin/env bash
# torch 2.13.0 and 2.14.1: the gradient of clamp where a value lies on a bound.
#
# Expected: one convention, whether a bound is a number or a tensor, and the same in both versions.
# A quantizer that rounds and then clamps puts its outermost codes exactly on the bounds, so the
# convention decides whether they learn.
# Seen: 2.13.0 passes the gradient (1) on a bound of either kind. 2.14.1 stops it (0) on a bound that
# is a number, and halves it (0.5) on a bound that is a tensor.
#
# Downloads two builds of torch into a temporary folder (several GB).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

gradients() {  # VERSION: the gradients at -1, 0 (a bound), 0.5, 1 (a bound), 2
  python3 -m venv "$folder/$1"
  "$folder/$1/bin/python" -m pip install --quiet --disable-pip-version-check "torch==$1" numpy==2.3.5 >&2
  "$folder/$1/bin/python" - <<'PYTHON'
import torch

zero, one = torch.zeros(()), torch.ones(())
for name, clamp in (
    ("numbers", lambda x: torch.clamp(x, 0, 1)),
    ("tensors", lambda x: torch.clamp(x, zero, one)),
):
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
    clamp(x).sum().backward()
    print(name, *x.grad.tolist())
PYTHON
  rm -rf "${folder:?}/$1"
}

check() {  # VERSION SEEN
  local found
  found=$(gradients "$1")
  printf 'torch %s\n%s\n' "$1" "$found"
  if [ "$found" != "$2" ]; then
    printf 'changed: torch %s gave before\n%s\n' "$1" "$2"
    exit 1
  fi
}

check 2.13.0 $'numbers 0.0 1.0 1.0 1.0 0.0\ntensors 0.0 1.0 1.0 1.0 0.0'
check 2.14.1 $'numbers 0.0 0.0 1.0 0.0 0.0\ntensors 0.0 0.5 1.0 0.5 0.0'
