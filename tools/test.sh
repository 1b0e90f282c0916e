#!/usr/bin/env bash
# Build and test with colcon; end with pytest's own summary and fail when a test fails.
# PYTEST_ARGS are more arguments for pytest, such as '-k chunk'.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
SUMMARY=log/latest_test/ocrrl/stdout.log

colcon() { .venv/bin/python .venv/bin/colcon --log-base log "$@"; }

colcon build --base-paths . --packages-select ocrrl || exit 1
rm -rf build/ocrrl/pytest.xml
status=0
colcon test --base-paths . --packages-select ocrrl --return-code-on-test-failure \
  --event-handlers console_direct+ console_cohesion- \
  --pytest-args ${PYTEST_ARGS:-} || status=1
colcon test-result --test-result-base build/ocrrl --verbose || status=1
if ! sed -n '/short test summary info/,$p' $SUMMARY | grep . ; then
  tail -n 1 $SUMMARY || status=1
fi
exit $status
