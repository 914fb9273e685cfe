# shellcheck shell=bash disable=SC2034
# Versions in the images. Node's is that of the development dependency.

COPILOT_CLI_PACKAGE=@github/copilot-linux-x64
COPILOT_CLI_VERSION=1.0.102
# The registry's digest of this package: npm alone would accept a republished one.
COPILOT_CLI_INTEGRITY=sha512-eGHPbsP0p2QgfVZCjtbGBFZPBOJQ0DN7xIbBRAo7oG8b1zfLirQIdfI4h8Iy68Dv2cKJGJZg2/EO7W7KpIMJOw==

DEBIAN_SUITE=bookworm
