# shellcheck shell=bash
# What goes into each image: its Dockerfile, its build context, and the digest that decides whether it must be built.

tag_of() {
  case $1 in
    copilot-cli) echo "$COPILOT_CLI_VERSION" ;;
    *) echo dev ;;
  esac
}

dockerfile_of() {
  case $1 in
    copilot-operator) echo "$ROOT/Dockerfile" ;;
    *) echo "$ROOT/images/$1/Dockerfile" ;;
  esac
}

context_of() {
  case $1 in
    copilot-operator) echo "$ROOT" ;;
    copilot-cli) echo "$CACHE_DIR/copilot-cli-$COPILOT_CLI_VERSION" ;;
    copilot-test-model) echo "$ROOT/test/model" ;;
  esac
}

# prepare_context IMAGE: quick when nothing changed.
prepare_context() {
  case $1 in
    copilot-operator) bundle_operator ;;
    copilot-cli) [[ -d $(context_of "$1") ]] || step "fetch the Copilot CLI $COPILOT_CLI_VERSION" fetch_copilot_cli "$(context_of "$1")" ;;
  esac
}

# What the build stage of the operator's Dockerfile does, done here: in seconds, and without npm in the base.
bundle_operator() {
  local stamp=$ROOT/node_modules/.cache/bundled-sources sources
  sources=$(cd "$ROOT" && { find src -type f -print0 | sort -z | xargs -0 sha256sum && sha256sum LICENSE package-lock.json scripts/build.ts; } | sha256sum)
  # With the bundle, because `npm run build` may have replaced it since.
  [[ "$sources $(bundle_digest)" != "$(cat "$stamp" 2>/dev/null)" ]] || return 0
  (cd "$ROOT" && PATH=$NODE_PACKAGE/bin:$PATH node scripts/build.ts) || die "Bundling the operator failed (see above)."
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
  [[ $digest == "$COPILOT_CLI_INTEGRITY" ]] || die "$COPILOT_CLI_PACKAGE@$COPILOT_CLI_VERSION has the digest $digest, expected $COPILOT_CLI_INTEGRITY: it is not the package that was tested."
  tar -xzf "$archive" --strip-components=1
  rm "$archive"
  mv "$partial" "$1"
}

# digest_of IMAGE BASE: of everything that decides its content.
digest_of() {
  {
    echo "$1 $2"
    cat "$(dockerfile_of "$1")"
    case $1 in
      copilot-operator) digest_of_files "$ROOT/dist" ;;
      copilot-cli) echo "$COPILOT_CLI_INTEGRITY" ;;
      copilot-test-model) digest_of_files "$ROOT/test/model" ;;
    esac
  } | sha256sum | cut -c1-16
}

digest_of_files() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }
