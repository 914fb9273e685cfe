#!/usr/bin/env bash
# Checks the syntax of every shell script with bash, and with shellcheck if that is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t scripts < <(find . -name node_modules -prune -o -name '*.sh' -print | sort)
for script in "${scripts[@]}"; do bash -n "$script"; done
if command -v shellcheck >/dev/null; then
  shellcheck "${scripts[@]}"
  echo "${#scripts[@]} shell scripts: bash -n, and $(shellcheck --version | awk '$1 == "version:" { print "shellcheck " $2 }')"
else
  echo "${#scripts[@]} shell scripts: bash -n only, shellcheck is not installed"
fi
