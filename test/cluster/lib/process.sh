# shellcheck shell=bash
# Components as background processes. Each runs in a cgroup of its own below the cluster's: membership is inherited,
# can't be lost and isn't reused, so it tells the cluster's processes from everybody else's where a bare pid can't
# (a pid file survives a SIGKILL or a reboot, and its number may by then belong to somebody's editor).

CGROUP_FS=/sys/fs/cgroup

cgroup_is_v2() { [[ -f $CGROUP_FS/cgroup.controllers ]]; }

# The hierarchies in which the cluster has a subtree: all of them under cgroup v1, the one of cgroup v2.
cgroup_hierarchies() {
  if cgroup_is_v2; then
    echo "$CGROUP_FS"
  else
    local hierarchy
    for hierarchy in "$CGROUP_FS"/*/; do
      # `cpu` and `cpuacct` may be links to one and the same.
      [[ ! -f $hierarchy/cgroup.procs || -L ${hierarchy%/} ]] || echo "${hierarchy%/}"
    done
  fi
}

# The one hierarchy in which the components are kept apart.
tracking_cgroup() {
  if cgroup_is_v2; then echo "$CGROUP_FS/$CLUSTER_NAME"; else echo "$CGROUP_FS/pids/$CLUSTER_NAME"; fi
}

# The kubelet refuses a --cgroup-root that doesn't exist in each hierarchy.
make_cgroups() {
  local hierarchy
  while read -r hierarchy; do
    mkdir -p "$hierarchy/$CLUSTER_NAME"
    # A new cpuset is empty under v1, and no process can enter an empty one.
    if [[ -f $hierarchy/$CLUSTER_NAME/cpuset.cpus && ! -f $hierarchy/cgroup.controllers ]]; then
      cat "$hierarchy/cpuset.cpus" >"$hierarchy/$CLUSTER_NAME/cpuset.cpus"
      cat "$hierarchy/cpuset.mems" >"$hierarchy/$CLUSTER_NAME/cpuset.mems"
    fi
  done < <(cgroup_hierarchies)
  if cgroup_is_v2; then enable_v2_controllers; fi
}

enable_v2_controllers() {
  local controller
  for controller in cpuset cpu io memory hugetlb pids; do
    grep -qw "$controller" "$CGROUP_FS/cgroup.controllers" || continue
    echo "+$controller" >"$CGROUP_FS/cgroup.subtree_control"
    echo "+$controller" >"$CGROUP_FS/$CLUSTER_NAME/cgroup.subtree_control"
  done
}

# run COMPONENT COMMAND...: starts it in its cgroup, detached, with its log in $LOGS.
run() {
  local component=$1 cgroup
  shift
  cgroup=$(tracking_cgroup)/system/$component
  mkdir -p "$cgroup" "$PIDS" "$LOGS"
  [[ ! -s $LOGS/$component.log ]] || mv "$LOGS/$component.log" "$LOGS/$component.log.1"
  (
    echo "$BASHPID" >"$cgroup/cgroup.procs"
    close_inherited_files
    PATH=$COMPONENT_PATH exec setsid "$@"
  ) >"$LOGS/$component.log" 2>&1 </dev/null &
  echo "$!" >"$PIDS/$component.pid"
  # Until it is in its cgroup it would count as exited.
  while ! is_running "$component" && kill -0 "$!" 2>/dev/null; do sleep 0.01; done
}

# A daemon that keeps a pipe of its caller open makes `make cluster | tee log` hang for ever, and would keep the lock.
close_inherited_files() {
  local fd
  for fd in /proc/"$BASHPID"/fd/*; do
    fd=${fd##*/}
    ((fd <= 2 || fd == 255)) || eval "exec $fd>&-"
  done
}

# component_pid COMPONENT: prints the pid if that very process is alive.
component_pid() {
  local pid
  [[ -f $PIDS/$1.pid ]] && read -r pid <"$PIDS/$1.pid" || return 1
  grep -qE "/$CLUSTER_NAME/system/$1\$" "/proc/$pid/cgroup" 2>/dev/null || return 1
  # A zombie (killed, not reaped by a strange init) is not alive.
  ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 1
  echo "$pid"
}

is_running() { component_pid "$1" >/dev/null; }

# pids_in CGROUP...: all processes in these cgroups and below.
pids_in() { find "$@" -name cgroup.procs -exec cat {} + 2>/dev/null || true; }

# kill_cgroups CGROUP...: kills until nobody is left; a process that forks meanwhile is met in the next round.
kill_cgroups() {
  local deadline=$((SECONDS + 30)) pids
  while pids=$(pids_in "$@") && [[ -n $pids ]]; do
    if ((SECONDS >= deadline)); then
      echo "these processes survive SIGKILL: ${pids//$'\n'/ }"
      return 1
    fi
    # A pid that exits between the listing and this line is no failure.
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    sleep 0.05
  done
}

# stop COMPONENT [SECONDS]: SIGTERM, then SIGKILL for what is left of it after SECONDS (default 10).
stop() {
  local component=$1 pid deadline=$((SECONDS + ${2:-10}))
  if pid=$(component_pid "$component"); then
    kill -TERM "$pid" 2>/dev/null || true
    while is_running "$component" && ((SECONDS < deadline)); do sleep 0.05; done
  fi
  kill_cgroups "$(tracking_cgroup)/system/$component"
  rm -f "$PIDS/$component.pid"
}

# must_answer COMPONENT SECONDS COMMAND...: waits for COMMAND; ends early, with the component's last words, if it exits.
must_answer() {
  local component=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! is_running "$component" || ((SECONDS >= deadline)); then
      is_running "$component" && echo "$component doesn't answer: $*" || echo "$component exited."
      echo "Its log, $LOGS/$component.log, ends with:"
      tail -n 20 "$LOGS/$component.log"
      return 1
    fi
    sleep 0.2
  done
}

# start_or_begin_anew COMPONENT DATA START SECONDS CHECK...: starts it with the function START and waits for CHECK. If it
# can't start with its DATA (a write was cut in the middle), the data is put aside, said aloud, and it starts empty: what
# it holds can be made again. A part that is only slow keeps its data.
start_or_begin_anew() {
  local component=$1 data=$2 start=$3 aside
  shift 3
  "$start"
  if must_answer "$component" "$@"; then return 0; fi
  if is_running "$component" || [[ ! -d $data ]]; then return 1; fi
  aside=$data.unreadable
  rm -rf "$aside"
  mv "$data" "$aside"
  "$start"
  if ! must_answer "$component" "$@"; then
    stop "$component"
    rm -rf "$data"
    mv "$aside" "$data"
    return 1
  fi
  say "! $component could not read its data and starts empty; the unreadable data is in $aside, the reason in $LOGS/$component.log.1"
}

# remove_cgroups: bottom up; the kernel needs a moment to let go of a killed process.
remove_cgroups() {
  local hierarchy
  while read -r hierarchy; do
    [[ -d $hierarchy/$CLUSTER_NAME ]] || continue
    wait_until 10 "cgroups below $hierarchy/$CLUSTER_NAME to become empty" remove_cgroup_tree "$hierarchy/$CLUSTER_NAME"
  done < <(cgroup_hierarchies)
}

remove_cgroup_tree() {
  find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null
  [[ ! -d $1 ]]
}
