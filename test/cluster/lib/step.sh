# shellcheck shell=bash
# One line a step, with the time since the start; a long step tells every 20 s what it is doing.

# One clock for a command and those it calls.
export CLUSTER_STARTED_AT=${CLUSTER_STARTED_AT:-${EPOCHREALTIME/./}}
STEP_PID=

# seconds_since MICROSECONDS: with one decimal.
seconds_since() {
  local tenths=$(((${EPOCHREALTIME/./} - $1) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# To the person, even from inside a step, whose own output goes to its log.
exec {TERMINAL}>&1
say() { printf '%7ss  %s\n' "$(seconds_since "$CLUSTER_STARTED_AT")" "$*" >&"$TERMINAL"; }

# die SENTENCE: the reason the whole command ends, in one sentence.
die() {
  printf '%s\n' "$*" >&2
  exit 1
}

# A daemon started by a step has a session of its own and outlives this.
stop_current_step() {
  [[ -z $STEP_PID ]] || kill -TERM -- "-$STEP_PID" 2>/dev/null || true
  exit 130
}
trap stop_current_step INT TERM

# step TITLE COMMAND...: runs COMMAND with its output in a log of its own. On failure it shows the end of that log and
# ends the whole command: nothing after a failed step can be right.
step() {
  local title=$1 started_at=${EPOCHREALTIME/./} told_at=$SECONDS log status=0
  shift
  log=$LOGS/step-${title//[^A-Za-z0-9.-]/-}.log
  mkdir -p "$LOGS"
  # A background job, because `set -e` has no effect inside a function that is called in a condition; a process group
  # of its own (-m), so that Ctrl-C can end a whole build.
  set -m
  (
    set -euo pipefail
    "$@"
  ) >"$log" 2>&1 </dev/null &
  STEP_PID=$!
  set +m
  while kill -0 "$STEP_PID" 2>/dev/null; do
    sleep 0.05
    if ((SECONDS - told_at >= 20)); then
      told_at=$SECONDS
      say "… $title: $(seconds_since "$started_at") s so far$(last_line "$log")"
    fi
  done
  wait "$STEP_PID" || status=$?
  STEP_PID=
  if ((status != 0)); then
    say "✗ $title failed after $(seconds_since "$started_at") s. The end of its log:"
    tail -n 25 "$log" | cut -c1-300 | sed 's/^/    /' >&"$TERMINAL"
    die "Step \"$title\" failed (exit code $status); its whole log is $log, the logs of the components are in $LOGS."
  fi
  say "✓ $title ($(seconds_since "$started_at") s)"
}

last_line() {
  local line
  line=$(tail -n 1 "$1" | cut -c1-100)
  [[ -z $line ]] || printf ' (%s)' "$line"
}

# wait_until SECONDS WHAT COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if ((SECONDS >= deadline)); then
      echo "gave up waiting for: $what"
      return 1
    fi
    sleep 0.2
  done
}
