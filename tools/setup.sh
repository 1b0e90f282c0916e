#!/usr/bin/env bash
# Make .venv match what is pinned under requirements/lock/ and install this package into it.
# Does nothing when it already matches. `make` calls it; PYTHON names the interpreter, TRAIN=1
# asks for torch, TRAIN=maybe for torch where its CPU build can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
TRAIN=${TRAIN:-}
VENV=.venv
STAMP=$VENV/ocrrl-setup.txt
PIP=("$VENV/bin/python" -m pip --disable-pip-version-check --no-input)

fail() { printf '%s\n' "$@" >&2; exit 1; }

sudo=sudo
[ "$(id -u)" != 0 ] || sudo=
command -v "$PYTHON" >/dev/null || fail "There is no $PYTHON here. Install it with:" '' \
  "    ${sudo:+$sudo }apt-get update && ${sudo:+$sudo }apt-get install -y python3 python3-venv"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 7))' || \
  fail "$("$PYTHON" --version 2>&1) ($PYTHON) is not supported; supported: Python 3.10 to 3.13."
"$PYTHON" -m ocrrl_ros.cli.preflight

version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
lock=requirements/lock/python$version.txt
options=()
case ${ROS_DISTRO:-} in
  '') ;;
  jazzy)
    "$PYTHON" -c 'import rclpy' 2>/dev/null || fail \
      "ROS 2 Jazzy is sourced, but $PYTHON ($version) cannot import its rclpy." \
      'Use the Python that it was built for (make PYTHON=/usr/bin/python3), or a shell without it.'
    lock=requirements/lock/ros_installed.txt
    options=(--system-site-packages) ;;
  *) fail "ROS 2 '$ROS_DISTRO' is sourced; this project runs on jazzy." \
      'Use a shell without it: ROS 2 Jazzy then comes from wheels.' ;;
esac

wanted=$("$PYTHON" -c 'import sys; print(sys.version)' | tr '\n' ' '; echo
  cat "$lock" setup.py setup.cfg pyproject.toml | sha256sum; echo "$lock"; pwd)
if [ ! -f $STAMP ] || [ "$(cat $STAMP)" != "$wanted" ]; then
  count=$(grep -c == "$lock")
  echo "Installing $count pinned packages for Python $version into $VENV (2 to 4 minutes)" >&2
  rm -f $STAMP
  if [ -d $VENV ] && [ "$("$VENV/bin/python" -c \
      'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ] &&
      [ "$(grep -c 'include-system-site-packages = true' $VENV/pyvenv.cfg)" = "${#options[@]}" ]
  then
    echo "keeping $VENV, which has the same Python" >&2
  else
    "$PYTHON" -m venv --clear "${options[@]}" $VENV
  fi
  "${PIP[@]}" install -qq --no-deps -r "$lock"
  "${PIP[@]}" install -qq --no-deps --no-build-isolation --editable .
  # Compiled once and kept beside the sources; else every node of the first start would do it.
  "$VENV/bin/python" -c 'import ocrrl_ros.policy.kernels'
  printf '%s\n' "$wanted" > $STAMP
fi

if [ -n "$TRAIN" ] && ! "$VENV/bin/python" -c 'import torch, transformers' 2>/dev/null; then
  train=requirements/lock/train$version.txt
  echo "Installing torch and transformers ($train)" >&2
  if ! "${PIP[@]}" install -qq --no-deps -r "$train" 2>$VENV/torch-install.log; then
    message=("$(grep -m 1 '^torch==' "$train") cannot be had for Python $version from the package"
      'sources that pip is configured for (pip config list). Training needs it, nothing else does.'
      'Add PyTorch'"'"'s CPU wheels to them (extra-index-url or find-links): make setup TRAIN=1')
    [ "$TRAIN" = maybe ] || fail "${message[@]}"
    printf '%s\n' "${message[@]}" 'Tests of training are skipped.' >&2
  fi
fi
