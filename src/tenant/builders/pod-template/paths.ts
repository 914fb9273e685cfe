/**
 * Directories of the server's container, as in images/copilot-cli. The root file system is read-only, so every writable path is a volume.
 */
export const HOME = '/home/copilot';
export const COPILOT_HOME = `${HOME}/.copilot`;
export const WORKSPACE = '/workspace';
