/**
 * Revisions of the pod template. A change of the template replaces every pod of every tenant, so a running server keeps the revision it
 * was started with (../../decisions/template-revision.ts): each change applies from the current revision on, and the template of a former
 * revision never changes.
 */

/**
 * The revision of a server that is started now. Raise it for the first change of a release, and list what it changes.
 * - 2: git works in the workspace; a shared process namespace; `--host ::` where the cluster has IPv6; larger and fewer volumes for
 *   temporary files, and the caches of package managers in the workspace's; a server never runs beside itself.
 */
export const CURRENT_REVISION = 2;
