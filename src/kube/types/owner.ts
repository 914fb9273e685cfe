/** Owner references, and the errors for objects that another owner controls. */
import type { ResourceType } from './resource.ts';
import type { KubeObject, OwnerReference } from './types.ts';

/** The reference that makes `owner` the controller of a child: the garbage collector deletes the child after it. */
export function controllerRef(owner: KubeObject): OwnerReference {
  const { name, uid } = owner.metadata;
  if (!uid) throw new Error(`${describe(owner)} has no UID: only an object read from the API server can own others`);
  return { apiVersion: owner.apiVersion, kind: owner.kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/** The one owner that manages the object, if there is one. */
export function getControllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller);
}

/** By UID: an owner that was deleted and created again under its name does not own the children of the first one. */
export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  const { uid } = owner.metadata;
  return uid !== undefined && getControllerOf(object)?.uid === uid;
}

/** Whether a reference points to this type of object; the version does not matter, as one object has several. */
export function refersTo(reference: OwnerReference, type: ResourceType): boolean {
  const slash = reference.apiVersion.indexOf('/');
  return reference.kind === type.kind && reference.apiVersion.slice(0, Math.max(slash, 0)) === type.group;
}

/** `Deployment "team/acme-0"`: how messages name an object. */
export function describe({ kind, metadata: { namespace, name } }: KubeObject): string {
  return `${kind} "${namespace ? `${namespace}/` : ''}${name}"`;
}

/** A foreign object has the child's name. It was neither adopted nor changed. */
export class ForeignObjectError extends Error {
  override readonly name = 'ForeignObjectError';
  /** Of the child that was to be written. */
  readonly kind: string;
  readonly objectName: string;
  /** The foreign object. */
  readonly live: KubeObject;

  constructor(desired: KubeObject, live: KubeObject) {
    const controller = getControllerOf(live);
    const whose = controller
      ? `is controlled by ${controller.kind} "${controller.name}" (UID ${controller.uid})`
      : 'has no controller';
    super(`${describe(desired)} already exists and ${whose}. It was not changed; delete or rename one of the two`);
    this.kind = desired.kind;
    this.objectName = desired.metadata.name;
    this.live = live;
  }
}

/** The owner of a child that was to be created again, or taken over, is deleted or terminating; the cache does not show that yet. */
export class OwnerGoneError extends Error {
  override readonly name = 'OwnerGoneError';

  constructor(desired: KubeObject, owner: KubeObject) {
    super(
      `${describe(desired)} is not written: its owner ${describe(owner)} (UID ${owner.metadata.uid}) is being deleted`,
    );
  }
}
