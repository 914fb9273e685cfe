/**
 * Directories of the server's container, as in images/copilot-cli. The root file system is read-only, so every writable path is a volume.
 */
export const HOME = '/home/copilot';
export const COPILOT_HOME = `${HOME}/.copilot`;
export const WORKSPACE = '/workspace';
/** Has `ca.crt`, the certificates of `spec.network.caBundle`. Users name it in variables of the agent's tools. */
export const CA_BUNDLE = '/etc/copilot-operator/ca';
