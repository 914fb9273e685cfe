#!/usr/bin/env bash
# Tests of the cluster scripts, on a second cluster in a directory of its own: the one that other tests use stays up.
# cluster.test.sh [NAME...]: runs the tests whose names contain one of NAME.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/cluster-test.XXXXXX")
export COPILOT_CLUSTER_DIR=$WORK/cluster-under-test COPILOT_CLUSTER_LINK=$WORK/link
unset KUBECONFIG
BIN=$COPILOT_CLUSTER_LINK/bin
CGROUP_NAME=cluster-under-test

cluster() { "$HERE/cluster.sh" "$@"; }
kubectl() { "$BIN/kubectl" "$@"; }

fail() {
  echo "    $*"
  return 1
}

expect_equal() { [[ $2 == "$3" ]] || fail "$1: expected '$2', found '$3'"; }
expect_contains() { [[ $2 == *"$3"* ]] || fail "$1: expected '$3' in: $2"; }

# eventually SECONDS COMMAND...
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || fail "not within its time: $*"
    sleep 0.2
  done
}

# took_at_most SECONDS COMMAND...
took_at_most() {
  local limit=$1 started=$SECONDS
  shift
  "$@"
  ((SECONDS - started <= limit)) || fail "$* took $((SECONDS - started)) s, allowed are $limit s"
}

cluster_pids() { find /sys/fs/cgroup -path "*/$CGROUP_NAME*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -nu; }
component_pid() { cat "$COPILOT_CLUSTER_LINK/pids/$1.pid"; }

# shellcheck disable=SC2046
kill_everything_at_once() { kill -KILL $(cluster_pids); }

given_a_workload() {
  cluster up
  kubectl apply -f "$HERE/testdata/workload.yaml"
  kubectl -n cluster-test rollout status deployment/web --timeout=60s
}

in_pod() { kubectl -n cluster-test exec deployment/web -- "$@"; }
running_pods() { kubectl -n cluster-test get pods --field-selector=status.phase=Running -o name | wc -l; }

# --- the promises -----------------------------------------------------------------------------------------------------

test_warm_start_is_fast() {
  cluster down
  took_at_most 30 cluster up
}

test_a_second_start_does_nothing() {
  local before
  cluster up
  before=$(cluster_pids)
  expect_contains "its answer" "$(took_at_most 2 cluster up)" "up already"
  expect_equal "processes" "$before" "$(cluster_pids)"
}

test_two_starts_at_once_make_one_cluster() {
  local first status=0
  cluster down
  cluster up & first=$!
  cluster up || status=$?
  wait "$first" || fail "the first start failed"
  expect_equal "exit code of the second" 0 "$status"
  expect_equal "API servers" 1 "$(cluster_pids | sed 's|.*|/proc/&/comm|' | xargs grep -l kube-apiserver | wc -l)"
}

test_a_pipe_on_its_output_comes_to_an_end() {
  cluster down
  # A daemon that inherits the pipe would keep `cat` waiting.
  expect_contains "its output" "$(timeout 60 bash -c "'$HERE/cluster.sh' up | cat")" "the cluster is up"
}

test_another_checkout_uses_the_same_cluster() {
  local before
  cluster up
  before=$(cluster_pids)
  COPILOT_CLUSTER_LINK=$WORK/other/.cluster cluster up
  expect_equal "processes" "$before" "$(cluster_pids)"
  expect_equal "node" "node/node1" "$("$WORK/other/.cluster/bin/kubectl" get nodes -o name)"
}

test_pods_have_network_names_storage_exec_and_logs() {
  given_a_workload
  expect_contains "the volume, read through the Service's name from the pod behind it" "$(in_pod wget -q -O- http://web/)" "uid=10001"
  expect_contains "the Service, from the node" "$("$BIN/enter" curl -s "http://$(kubectl -n cluster-test get service web -o 'jsonpath={.spec.clusterIP}')/")" "uid=10001"
  expect_contains "the API server, by name" "$(in_pod sh -c 'nc -w 2 kubernetes.default 443 </dev/null && echo reached')" "reached"
  expect_equal "logs" "started" "$(kubectl -n cluster-test logs deployment/web)"
  # Each container is known to the kubelet's own metrics although containerd's socket isn't where it is compiled in.
  eventually 30 kubelet_measures_the_container
}

kubelet_measures_the_container() { kubectl get --raw /api/v1/nodes/node1/proxy/stats/summary | grep -q '"name": "web"'; }

test_wrappers_work_from_outside() {
  cluster up
  expect_equal "kubectl, whatever KUBECONFIG says" "node/node1" "$(KUBECONFIG=/nowhere "$BIN/kubectl" get nodes -o name)"
  expect_equal "helm" "[]" "$("$BIN/helm" list -A -o json)"
  expect_equal "enter keeps directory and environment" "/usr/share there" "$(cd /usr/share && GREETING=there "$BIN/enter" sh -c 'echo $PWD $GREETING')"
  expect_equal "enter passes the exit code on" 7 "$("$BIN/enter" sh -c 'exit 7' || echo $?)"
  expect_contains "audit log" "$(cat "$COPILOT_CLUSTER_LINK/audit.log")" '"level":"Metadata"'
}

test_a_killed_part_is_started_again_alone() {
  local etcd apiserver
  given_a_workload
  etcd=$(component_pid etcd) apiserver=$(component_pid kube-apiserver)
  kill -KILL "$apiserver"
  eventually 5 test ! -d "/proc/$apiserver"
  cluster up
  expect_equal "etcd" "$etcd" "$(component_pid etcd)"
  expect_equal "pods" 1 "$(running_pods)"
}

test_recovers_when_everything_was_killed_at_once() {
  given_a_workload
  in_pod sh -c 'echo precious >/data/kept'
  kill_everything_at_once
  took_at_most 30 cluster up
  eventually 60 in_pod true
  expect_equal "the volume's content" "precious" "$(in_pod cat /data/kept)"
  # Addresses of the dead must not be kept for ever: one each for the pods that run.
  eventually 60 addresses_in_use_are "$(kubectl get pods -A --field-selector=status.phase=Running -o name | wc -l)"
}

addresses_in_use_are() { (($(find "$COPILOT_CLUSTER_DIR/run/cni-leases" -name '10.88.*' | wc -l) == $1)); }

test_recovers_when_containerd_alone_was_killed() {
  given_a_workload
  kill -KILL "$(component_pid containerd)"
  cluster up
  eventually 60 in_pod true
}

test_recovers_from_a_half_written_etcd() {
  local output
  given_a_workload
  kill_everything_at_once
  truncate -s 20000 "$COPILOT_CLUSTER_DIR/etcd/member/snap/db"
  truncate -s 100 "$COPILOT_CLUSTER_DIR"/etcd/member/wal/*.wal
  output=$(cluster up)
  expect_contains "its output" "$output" "etcd could not read its data and starts empty"
  given_a_workload
}

test_recovers_from_a_half_written_image_store() {
  given_a_workload
  kill_everything_at_once
  truncate -s 5000 "$COPILOT_CLUSTER_DIR/containerd/io.containerd.metadata.v1.bolt/meta.db"
  expect_contains "its output" "$(cluster up)" "containerd could not read its data and starts empty"
  eventually 60 in_pod true
}

test_down_leaves_nothing_behind() {
  local before pids namespaces namespace
  cluster down
  before=$(machine_state)
  given_a_workload
  pids=$(cluster_pids)
  namespaces=$(for pid in $pids; do readlink "/proc/$pid/ns/net" "/proc/$pid/ns/mnt" || true; done | sort -u | grep -vxF -e "$(readlink /proc/self/ns/net)" -e "$(readlink /proc/self/ns/mnt)")
  cluster down
  expect_equal "mounts, cgroups, iptables, kernel settings, directories" "$before" "$(machine_state)"
  for namespace in $namespaces; do
    ! find /proc -maxdepth 3 -path '/proc/[0-9]*/ns/*' -lname "$namespace" 2>/dev/null | grep -q . || fail "$namespace is still in use"
  done
  # shellcheck disable=SC2086
  expect_equal "processes" "" "$(ps -o pid=,args= -p "${pids//$'\n'/,}" | grep -F "$COPILOT_CLUSTER_DIR" || true)"
}

# Of the mounts, those that could be the cluster's: others come and go on a machine in use.
machine_state() {
  grep -E "^nsfs | ($COPILOT_CLUSTER_DIR|/run|/var/log|/var/lib/(cni|kubelet|containerd))" /proc/self/mounts || true
  ls /run/netns 2>/dev/null || true
  find /sys/fs/cgroup -type d -path "*$CGROUP_NAME*"
  iptables-save 2>/dev/null | grep -v '^#' || true
  sysctl fs.inotify.max_user_instances vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
  ls -d /var/lib/kubelet /var/lib/cni /run/containerd /var/log/pods /var/log/containers /etc/cni 2>/dev/null || true
}

test_another_containerd_on_the_machine_is_left_alone() {
  cluster up
  cluster down
  # In a mount namespace, so that the stranger's default place, /run/containerd, is free in any case.
  export -f beside_a_stranger fail expect_equal
  HERE=$HERE PROGRAMS=$COPILOT_CLUSTER_DIR/programs WORK=$WORK unshare --mount --propagation=private bash -euo pipefail -c beside_a_stranger
}

# Its container must run all the time, and its directories keep the names that are in them.
beside_a_stranger() {
  local stranger before files status=0 image
  mount -t tmpfs tmpfs /run
  PATH=$PROGRAMS:$PATH
  containerd --root /run/their-root >"$WORK/stranger.log" 2>&1 & stranger=$!
  until ctr version >/dev/null 2>&1; do sleep 0.2; done
  image=$(find "${COPILOT_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/copilot-operator}" -name busybox.tar)
  ctr images import "$image"
  ctr run --detach --snapshotter native localhost/busybox:1 theirs sleep 600
  before=$(ctr tasks list | grep theirs) files=$(find /run/containerd /run/their-root -maxdepth 2 | sort)

  "$HERE/cluster.sh" up
  "$COPILOT_CLUSTER_LINK/bin/kubectl" apply -f "$HERE/testdata/workload.yaml"
  "$COPILOT_CLUSTER_LINK/bin/kubectl" -n cluster-test rollout status deployment/web --timeout=60s
  expect_equal "their container while the cluster is up" "$before" "$(ctr tasks list | grep theirs)" || status=1
  "$HERE/cluster.sh" down
  expect_equal "their container afterwards" "$before" "$(ctr tasks list | grep theirs)" || status=1
  expect_equal "their files" "$files" "$(find /run/containerd /run/their-root -maxdepth 2 | sort)" || status=1
  ctr tasks kill --signal SIGKILL theirs
  until ctr tasks list | grep -q STOPPED; do sleep 0.1; done
  ctr tasks delete theirs
  kill "$stranger"
  return $status
}

test_down_twice_and_after_a_massacre_is_fine() {
  given_a_workload
  kill_everything_at_once
  cluster down
  took_at_most 2 cluster down
  expect_equal "processes" "" "$(cluster_pids)"
  expect_contains "the output of kubectl" "$(kubectl get nodes 2>&1 || true)" "make cluster"
}

test_a_reused_pid_is_left_alone() {
  local stranger
  cluster up
  sleep 600 & stranger=$!
  kill -KILL "$(component_pid coredns)"
  echo "$stranger" >"$COPILOT_CLUSTER_LINK/pids/coredns.pid"
  cluster up
  [[ $(component_pid coredns) != "$stranger" ]] || fail "the stranger was taken for CoreDNS"
  echo "$stranger" >"$COPILOT_CLUSTER_LINK/pids/kube-proxy.pid"
  cluster down
  kill "$stranger" || fail "the stranger was killed"
}

test_kwok_plays_pods_that_answer_on_the_loopback() {
  cluster kwok-up
  kubectl apply -f "$HERE/testdata/simulated.yaml"
  kubectl -n cluster-test-simulated rollout status deployment/web --timeout=60s
  local address
  address=$(kubectl -n cluster-test-simulated get pods -o 'jsonpath={.items[0].status.podIP}')
  "$BIN/enter" ping -c1 -W2 "$address" >/dev/null 2>&1 || "$BIN/enter" bash -c "ip route get $address | grep -q 'local $address'" || fail "$address isn't local"
  kubectl delete namespace cluster-test-simulated --timeout=60s
  cluster kwok-down
  expect_equal "simulated nodes" "" "$(kubectl get nodes -l type=kwok -o name)"
}

test_a_failing_step_is_named_with_its_log() {
  local output status=0
  cluster down
  rm -rf "$COPILOT_CLUSTER_DIR/containerd" && echo "in the way" >"$COPILOT_CLUSTER_DIR/containerd"
  output=$(cluster up 2>&1) || status=$?
  rm "$COPILOT_CLUSTER_DIR/containerd"
  expect_equal "exit code" 1 "$status"
  expect_contains "the step" "$output" 'Step "containerd" failed'
  expect_contains "the end of its log" "$output" "$COPILOT_CLUSTER_DIR/containerd"
  expect_contains "where the rest is" "$output" "$COPILOT_CLUSTER_DIR/logs/step-containerd.log"
}

# go_is_taken VERSION GOTOOLCHAIN: whether one that says so of itself is taken for a build.
go_is_taken() {
  mkdir -p "$WORK/go-shim"
  printf '#!/bin/sh\n[ "$2" = GOVERSION ] && echo "%s" || echo "%s"\n' "$1" "$2" >"$WORK/go-shim/go" && chmod +x "$WORK/go-shim/go"
  PATH=$WORK/go-shim:$PATH CLUSTER_SCRIPTS=$HERE bash -euo pipefail -c "source '$HERE/lib/step.sh' && source '$HERE/lib/prerequisites.sh' && require_go kubernetes" 2>&1
}

test_a_go_that_is_too_old_is_told_before_a_build_fails() {
  local output version
  for version in "go1.26.0 local" "go1.27rc1 local" "devel go1.28-0f2c1ab local" "go1.21.0 auto" "go1.22.1 go1.26.0+auto"; do
    expect_equal "the output for $version" "" "$(go_is_taken "${version% *}" "${version##* }")"
  done
  for version in "go1.25.9 local" "go1.21.3 path" "go1.19.8 " "go1.20.14 auto" " "; do
    output=$(go_is_taken "${version% *}" "${version##* }") && fail "$version was taken"
    expect_contains "the output for $version" "$output" "Go 1.26.0 or newer is needed to build Kubernetes, or 1.21 with GOTOOLCHAIN=auto, and $WORK/go-shim/go is"
    expect_equal "lines" 1 "$(wc -l <<<"$output")"
  done
}

test_what_cannot_work_is_said_in_one_sentence() {
  local output
  output=$(setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "cd / && '$HERE/cluster.sh' up" 2>&1) && fail "started without root"
  expect_equal "not root" "The local cluster needs root (namespaces, mounts, cgroups): run it as root, for instance with 'sudo -E make cluster'." "$output"

  mkdir -p "$WORK/shims"
  printf '#!/bin/sh\n[ "$1" = -m ] && echo aarch64 || echo Linux\n' >"$WORK/shims/uname" && chmod +x "$WORK/shims/uname"
  output=$(PATH=$WORK/shims:$PATH cluster up 2>&1) && fail "started on another architecture"
  expect_equal "another architecture" "The local cluster runs on Linux x86-64 only, and this is Linux aarch64: use 'CLUSTER=current' with a cluster of your own." "$output"

  cluster down
  # An empty cache makes it build; Go's own directory is hidden from it.
  output=$(unshare --mount bash -c "! [ -d /usr/local/go ] || mount -t tmpfs tmpfs /usr/local/go; PATH=/usr/sbin:/usr/bin:/sbin:/bin COPILOT_CLUSTER_CACHE='$WORK/empty' '$HERE/cluster.sh' up" 2>&1) && fail "built without Go"
  expect_contains "no Go" "$output" "Go 1.26.0 or newer is needed to build Kubernetes"
  expect_equal "lines" 1 "$(wc -l <<<"$output")"

  mkdir -p "$WORK/somebodys" && : >"$WORK/somebodys/thesis"
  output=$(COPILOT_CLUSTER_DIR=$WORK/somebodys cluster down 2>&1) && fail "took somebody's directory"
  expect_contains "a directory with other files" "$output" "is not empty and was not made by this"
}

# --- running them -----------------------------------------------------------------------------------------------------

clean_up() {
  cluster down >/dev/null 2>&1 || echo "could not take the cluster under test down; it is in $COPILOT_CLUSTER_DIR"
  rm -rf "$WORK"
}

# selected TEST NAME...
selected() {
  local test=$1 name
  shift
  (($# > 0)) || return 0
  for name in "$@"; do [[ $test != *"$name"* ]] || return 0; done
  return 1
}

main() {
  local test output started passed=0 failed=0 status
  trap clean_up EXIT
  for test in $(declare -F | awk '$3 ~ /^test_/ { print $3 }' | sort -R); do
    selected "$test" "$@" || continue
    started=$SECONDS status=0
    output=$WORK/$test.log
    # Not in a condition: `set -e` would have no effect inside.
    set +e
    (
      set -e
      "$test"
    ) >"$output" 2>&1
    status=$?
    set -e
    if ((status == 0)); then
      passed=$((passed + 1))
      echo "ok      ${test#test_} ($((SECONDS - started)) s)"
    else
      failed=$((failed + 1))
      echo "FAILED  ${test#test_} ($((SECONDS - started)) s)"
      tail -n 30 "$output" | sed 's/^/    /'
    fi
  done
  echo "$passed passed, $failed failed"
  ((failed == 0 && passed > 0))
}

main "$@"
