# shellcheck shell=bash
# etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

kubectl_admin() { in_network "$PROGRAMS/kubectl" --kubeconfig "$PKI/admin.kubeconfig" "$@"; }

start_etcd() {
  is_running etcd || start_or_begin_anew etcd "$CLUSTER_DIR/etcd" run_etcd 30 etcd_answers
}

run_etcd() {
  # Without fsync: a lost page cache costs a test cluster, and every write would otherwise wait for the disk.
  run etcd nsenter --net="$NETNS" -- "$PROGRAMS/etcd" --data-dir="$CLUSTER_DIR/etcd" --unsafe-no-fsync=true \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 --listen-peer-urls=http://127.0.0.1:2380
}

etcd_answers() { in_network bash -c 'exec 3<>/dev/tcp/127.0.0.1/2379 && printf "GET /readyz HTTP/1.0\r\n\r\n" >&3 && grep -q "200 OK" <&3'; }

start_kube_apiserver() {
  is_running kube-apiserver || run kube-apiserver nsenter --net="$NETNS" -- "$PROGRAMS/kube-apiserver" \
    --etcd-servers=http://127.0.0.1:2379 --advertise-address="$NODE_IP" --bind-address=0.0.0.0 --secure-port=6443 \
    --allow-privileged=true --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
    --service-cluster-ip-range="$SERVICE_CIDR" --kubelet-preferred-address-types=InternalIP --kubelet-certificate-authority="$PKI/ca.crt" \
    --kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt" --kubelet-client-key="$PKI/apiserver-kubelet-client.key" \
    --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client --requestheader-username-headers=X-Remote-User \
    --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$PKI/front-proxy-client.crt" --proxy-client-key-file="$PKI/front-proxy-client.key" \
    --audit-policy-file="$CONFIG/audit-policy.yaml" --audit-log-path="$LOGS/audit.log" --audit-log-maxsize=200 --audit-log-maxbackup=2
  must_answer kube-apiserver 60 kubectl_admin get --raw /readyz
}

# The default limits (20 requests/s) would make a test of many tenants wait for the controllers and not for the operator; the default period
# of autoscalers is 15 s.
start_kube_controller_manager() {
  is_running kube-controller-manager || run_with_kubeconfig kube-controller-manager \
    --use-service-account-credentials --root-ca-file="$PKI/ca.crt" --service-account-private-key-file="$PKI/sa.key" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" --service-cluster-ip-range="$SERVICE_CIDR" \
    --kube-api-qps=200 --kube-api-burst=400 --horizontal-pod-autoscaler-sync-period=5s
}

start_kube_scheduler() {
  is_running kube-scheduler || run_with_kubeconfig kube-scheduler --kube-api-qps=200 --kube-api-burst=400
}

# run_with_kubeconfig COMPONENT FLAG...
run_with_kubeconfig() {
  local component=$1 kubeconfig=$PKI/$1.kubeconfig
  shift
  run "$component" nsenter --net="$NETNS" -- "$PROGRAMS/$component" --kubeconfig="$kubeconfig" --authentication-kubeconfig="$kubeconfig" \
    --authorization-kubeconfig="$kubeconfig" --bind-address=127.0.0.1 --leader-elect=false "$@"
}
