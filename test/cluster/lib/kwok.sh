# shellcheck shell=bash
# kwok: nodes and pods that exist in the API alone, for tests of scale. Pods go there only when they ask for it: selector
# `type: kwok` and a toleration for the taint `kwok.x-k8s.io/node`.

KWOK_NODES=${COPILOT_CLUSTER_KWOK_NODES:-10}

start_kwok() {
  # A cluster that was up before this checkout may not have it.
  render kwok.yaml
  is_running kwok || run kwok nsenter --net="$NETNS" -- "$PROGRAMS/kwok" --kubeconfig="$PKI/kwok.kubeconfig" --config="$CONFIG/kwok.yaml" \
    --manage-all-nodes=false --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake \
    --cidr="$KWOK_CIDR" --node-ip="$NODE_IP" --node-lease-duration-seconds=40 --v=WARN
  kwok_nodes | kubectl_admin apply --server-side --force-conflicts -f -
  must_answer kwok 30 kwok_nodes_are_ready
}

kwok_nodes_are_ready() {
  local ready
  ready=$(kubectl_admin get nodes -l type=kwok -o 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')
  (($(grep -ow True <<<"$ready" | wc -l) >= KWOK_NODES))
}

kwok_nodes() {
  local index
  for ((index = 0; index < KWOK_NODES; index++)); do
    cat <<NODE
---
apiVersion: v1
kind: Node
metadata:
  name: kwok-$index
  labels: { type: kwok, kubernetes.io/hostname: kwok-$index, kubernetes.io/os: linux, kubernetes.io/arch: amd64 }
  annotations: { kwok.x-k8s.io/node: fake }
spec:
  taints: [{ key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule }]
NODE
  done
}

# Its nodes first: without kwok they would turn NotReady and keep their pods.
stop_kwok() {
  if is_running kube-apiserver; then kubectl_admin delete nodes -l type=kwok --ignore-not-found; fi
  stop kwok
}
