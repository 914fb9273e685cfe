# shellcheck shell=bash
# What goes into each image: the directory that is its build context, and the digest that tells whether it must be built.

tag_of() {
  case $1 in
    copilot-cli) echo "$COPILOT_CLI_VERSION" ;;
    *) echo dev ;;
  esac
}

context_of() {
  case $1 in
    copilot-operator) echo "$ROOT/dist" ;;
    copilot-cli) echo "$CACHE_DIR/copilot-cli-$COPILOT_CLI_VERSION" ;;
    copilot-test-model) echo "$ROOT/test/model" ;;
  esac
}

# prepare_context IMAGE: fills it. Quick when there is nothing to do.
prepare_context() {
  case $1 in
    copilot-operator) bundle_operator ;;
    copilot-cli) [[ -d $(context_of "$1") ]] || step "fetch the Copilot CLI $COPILOT_CLI_VERSION" fetch_copilot_cli "$(context_of "$1")" ;;
  esac
}

# Bundling takes a second or two, more on a busy machine: done when a source changed.
bundle_operator() {
  local stamp=$ROOT/node_modules/.cache/bundled-sources sources
  sources=$(cd "$ROOT" && { find src -type f -print0 | sort -z | xargs -0 sha256sum && sha256sum LICENSE package-lock.json scripts/build.ts; } | sha256sum)
  # The bundle is part of it: somebody else's `npm run build` may have come in between.
  [[ "$sources $(bundle_digest)" != "$(cat "$stamp" 2>/dev/null)" ]] || return 0
  (cd "$ROOT" && PATH=$NODE_PACKAGE/bin:$PATH node scripts/build.ts) || die "The operator can't be bundled (see above)."
  mkdir -p "$(dirname "$stamp")"
  echo "$sources $(bundle_digest)" >"$stamp"
}

bundle_digest() {
  find "$ROOT/dist" -name '*.js' -print0 2>/dev/null | sort -z | xargs -0r cat | sha256sum
}

fetch_copilot_cli() {
  local partial=$1.partial archive digest
  rm -rf "$partial"
  mkdir -p "$partial"
  cd "$partial" || return
  archive=$(npm pack --silent "$COPILOT_CLI_PACKAGE@$COPILOT_CLI_VERSION")
  digest=sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w0)
  [[ $digest == "$COPILOT_CLI_INTEGRITY" ]] || die "$COPILOT_CLI_PACKAGE@$COPILOT_CLI_VERSION has the digest $digest, expected $COPILOT_CLI_INTEGRITY: it isn't the package that was tested."
  tar -xzf "$archive" --strip-components=1
  rm "$archive"
  mv "$partial" "$1"
}

# digest_of IMAGE BASE: of everything that decides its content. The CLI's package is known by its integrity.
digest_of() {
  {
    echo "$1 $2"
    cat "$ROOT/images/$1/Dockerfile"
    case $1 in
      copilot-cli) echo "$COPILOT_CLI_INTEGRITY" ;;
      *) (cd "$(context_of "$1")" && find . -type f -print0 | sort -z | xargs -0 sha256sum) ;;
    esac
  } | sha256sum | cut -c1-16
}
