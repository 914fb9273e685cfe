# shellcheck shell=bash
# Certificates and kubeconfigs. Made once, in a directory that is moved into place whole; EC keys, because eleven RSA
# pairs cost seconds.

ensure_pki() {
  [[ ! -d $PKI ]] || return 0
  local partial=$PKI.partial
  rm -rf "$partial"
  mkdir -p -m 0700 "$partial"
  cd "$partial"

  authority ca kubernetes-ca
  authority front-proxy-ca front-proxy-ca
  openssl ecparam -name prime256v1 -genkey -noout -out sa.key
  openssl ec -in sa.key -pubout -out sa.pub

  local service=kubernetes.default.svc
  certificate apiserver ca serverAuth /CN=kube-apiserver \
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:$service,DNS:$service.cluster.local,IP:127.0.0.1,IP:$NODE_IP,IP:$API_SERVICE_IP"
  certificate kubelet-serving ca serverAuth "/CN=$NODE_NAME" "DNS:$NODE_NAME,IP:$NODE_IP"
  certificate apiserver-kubelet-client ca clientAuth /O=system:masters/CN=kube-apiserver-kubelet-client
  certificate front-proxy-client front-proxy-ca clientAuth /CN=front-proxy-client

  # A user each, so that the audit log tells who wrote.
  client admin /O=system:masters/CN=admin
  client kube-controller-manager /CN=system:kube-controller-manager
  client kube-scheduler /CN=system:kube-scheduler
  client kube-proxy /CN=system:kube-proxy
  client kubelet "/O=system:nodes/CN=system:node:$NODE_NAME"
  client coredns /O=system:masters/CN=coredns
  client local-path-provisioner /O=system:masters/CN=local-path-provisioner
  client kwok /O=system:masters/CN=kwok
  mv "$partial" "$PKI"
}

# authority NAME COMMON_NAME
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=$2" -keyout "$1.key" -out "$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# certificate NAME AUTHORITY USAGE SUBJECT [SUBJECT_ALT_NAMES]
certificate() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$4" -keyout "$1.key" -out "$1.csr"
  printf 'extendedKeyUsage=%s\n%s\n' "$3" "${5:+subjectAltName=$5}" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt"
  rm "$1.csr" "$1.ext"
}

# client NAME SUBJECT: a client certificate and the kubeconfig that holds it.
client() {
  certificate "$1" ca clientAuth "$2"
  cat >"$1.kubeconfig" <<KUBECONFIG
apiVersion: v1
kind: Config
current-context: copilot-local
contexts: [{name: copilot-local, context: {cluster: copilot-local, user: $1}}]
clusters:
- name: copilot-local
  cluster:
    server: https://$NODE_IP:6443
    certificate-authority-data: $(base64 -w0 <ca.crt)
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 <"$1.crt")
    client-key-data: $(base64 -w0 <"$1.key")
KUBECONFIG
}
