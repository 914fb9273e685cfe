/**
 * Directories of the server's container, as in images/copilot-cli. The root file system is read-only, so every writable path is a volume.
 */
export const HOME = '/home/copilot';
export const COPILOT_HOME = `${HOME}/.copilot`;
/** Where tools keep what they have downloaded or built: the default of most, and of the others by their environment variable. */
export const CACHE = `${HOME}/.cache`;
export const WORKSPACE = '/workspace';
/** Has `ca.crt`, the certificates of `spec.network.caBundle`. Users name it in variables of the agent's tools. */
export const CA_BUNDLE = '/etc/copilot-operator/ca';
