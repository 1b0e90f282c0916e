#!/usr/bin/env bash
# Pin everything under requirements/lock/ again: one file per Python, one for a sourced ROS 2
# Jazzy, and the packages that the CPU build of torch imports. Needs uv; run it from anywhere.
set -euo pipefail
cd "$(dirname "$0")"
UV=${UV:-uv}
mkdir -p lock
compile() {  # compile PYTHON OUTPUT INPUT...
  local python=$1 output=$2
  shift 2
  "$UV" pip compile --quiet --upgrade --no-header --no-annotate \
    --python-version "$python" --python-platform x86_64-manylinux_2_34 "$@" -o "$output"
}
for python in 3.10 3.11 3.12 3.13; do
  compile "$python" "lock/python$python.txt" runtime.in ros.in test.in
  compile "$python" "lock/train$python.txt" train.in -c "lock/python$python.txt"
  # torch's CPU build carries its own libraries: the CUDA packages of the default build go.
  sed -i -E '/^(nvidia|cuda|triton)/d; s/^(torch==[0-9.]+)$/\1+cpu/' "lock/train$python.txt"
done
compile 3.12 lock/ros_installed.txt runtime.in test.in ros_installed.in
