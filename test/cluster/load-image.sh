#!/usr/bin/env bash
# load-image.sh ARCHIVE: imports an OCI archive into the local cluster under the name it carries.
exec "$(dirname "${BASH_SOURCE[0]}")/cluster.sh" load-image "$@"
