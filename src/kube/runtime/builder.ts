/** Builds a controller and adds it to a manager, as controller-runtime's `ControllerManagedBy(mgr).For().Owns().Complete()`. */
import { getControllerOf, refersTo } from '../types/owner.ts';
import { nameOf, type KubeObject } from '../types/types.ts';
import type { InformerLike } from '../cache/informer.ts';
import {
  Controller,
  type ControllerOptions,
  type MapFunc,
  type Reconciler,
  type WatchesOptions,
} from './controller.ts';
import type { Manager } from './manager.ts';
import type { Runnable } from './runnables.ts';
import { specOrMetadataChanged } from './predicates.ts';

/** What a builder needs of the manager. */
export type BuilderManager = Pick<Manager, 'clock' | 'metrics' | 'log' | 'addController'>;

/** How the controller works, as opposed to what it reconciles. */
export type BuilderOptions = Pick<ControllerOptions, 'concurrency' | 'maxRetryDelayMs' | 'reconcileTimeoutMs'> &
  Pick<Runnable, 'stopsLast'>;

/** Starts to build a controller that `complete` adds to this manager. */
export function controllerManagedBy(manager: BuilderManager): ControllerBuilder {
  return new ControllerBuilder(manager);
}

/** Collects what to reconcile and when; `complete` creates the controller. */
export class ControllerBuilder {
  readonly #manager: BuilderManager;
  readonly #watches: ((controller: Controller) => void)[] = [];
  #primary: InformerLike | undefined;
  #name: string | undefined;
  #options: BuilderOptions = {};

  constructor(manager: BuilderManager) {
    this.#manager = manager;
  }

  /** Label of the controller in metrics and logs. Default: the kind of its objects, in lower case. */
  named(name: string): this {
    this.#name = name;
    return this;
  }

  /**
   * The objects to reconcile. One is reconciled when it is created or deleted and when more than its status changes: the status is the
   * controller's own, and to requeue for it would defeat the back-off whenever the message of a failure differs from the last one.
   */
  for<T extends KubeObject>(informer: InformerLike<T>): this {
    this.#primary = informer;
    return this.watches(informer, (object) => [nameOf(object)], { predicate: specOrMetadataChanged });
  }

  /** Reconciles the object whose controller reference an object of this informer has. */
  owns<T extends KubeObject>(informer: InformerLike<T>): this {
    this.#watches.push((controller) => controller.watch(informer, ownerIn(controller.primary)));
    return this;
  }

  /** Reconciles the keys that `map` returns for every object that is created, updated (before and after) or deleted. */
  watches<T extends KubeObject>(informer: InformerLike<T>, map: MapFunc<T>, options?: WatchesOptions<T>): this {
    this.#watches.push((controller) => controller.watch(informer, map, options));
    return this;
  }

  /** Sets concurrency, back-off and timeout, and whether it stops last. */
  withOptions(options: BuilderOptions): this {
    this.#options = options;
    return this;
  }

  /** Creates the controller and adds it to the manager. */
  complete(reconciler: Reconciler): Controller {
    if (this.#primary === undefined) throw new Error('controllerManagedBy: call for() before complete()');
    const { clock, metrics, log } = this.#manager;
    const { stopsLast, ...options } = this.#options;
    const controller = new Controller({
      ...options,
      name: this.#name ?? this.#primary.type.kind.toLowerCase(),
      primary: this.#primary,
      reconciler,
      clock,
      metrics,
      log,
    });
    for (const watch of this.#watches) watch(controller);
    this.#manager.addController(controller, stopsLast === undefined ? {} : { stopsLast });
    return controller;
  }
}

/** Maps a child to its owner, if that is of the type of `primary`. */
function ownerIn(primary: InformerLike): MapFunc<KubeObject> {
  return (child, deleted) => {
    const reference = getControllerOf(child);
    if (!reference || !refersTo(reference, primary.type)) return [];
    const namespace = primary.type.namespaced ? (child.metadata.namespace ?? '') : '';
    const owner = primary.store.get({ namespace, name: reference.name });
    // A child of an earlier owner of this name does not concern the present one, until it is deleted and its name is free.
    if (owner && owner.metadata.uid !== reference.uid && !deleted) return [];
    return [{ namespace, name: reference.name }];
  };
}
