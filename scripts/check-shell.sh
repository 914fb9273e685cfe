#!/usr/bin/env bash
# Every shell script of the project is one that bash can read; where shellcheck is installed, it has nothing to say either.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t scripts < <(find . -name node_modules -prune -o -name '*.sh' -print | sort)
for script in "${scripts[@]}"; do bash -n "$script"; done
if command -v shellcheck >/dev/null; then
  shellcheck "${scripts[@]}"
  echo "${#scripts[@]} shell scripts: bash -n, and $(shellcheck --version | awk '$1 == "version:" { print "shellcheck " $2 }')"
else
  echo "${#scripts[@]} shell scripts: bash -n alone, for shellcheck is not installed"
fi
