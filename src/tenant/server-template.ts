/** Renders the Deployment of one server in any version, and finds out whether its tenant has changed since it was written. */
import { isDeepStrictEqual } from 'node:util';
import type { Deployment } from '../kube/types/builtins.ts';
import { differences } from '../kube/write/diff.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { deployment, templateInputs } from './builders/deployment.ts';
import type { IPFamily } from './builders/pod-template/listen-address.ts';
import type { PodTemplates } from './builders/pod-template/template.ts';
import { recordedTemplateOf, replacementsOf } from './deployments.ts';
import type { Restart, ServerImage } from './model.ts';

/** What a server's Deployment is rendered from, in every version. */
export interface ServerTemplateInput {
  readonly tenant: CopilotTenant;
  readonly index: number;
  readonly credentialsHash: string;
  readonly ipFamily: IPFamily;
  readonly templates: PodTemplates;
}

/** What the operator decides of the pod, as opposed to the tenant. */
export interface ServerVersion {
  /** Revision of the pod template. */
  readonly revision: number;
  readonly image: ServerImage;
}

/** What the Deployment records of what happens to it. */
export interface Variant {
  /** Default: true. */
  readonly running?: boolean;
  readonly restart?: Restart | undefined;
  /** When a pod that could have stayed was replaced. */
  readonly replacedAt?: string | undefined;
  readonly rolloutAt?: string | undefined;
}

/** The Deployment of one server. */
export class ServerTemplate {
  readonly #input: ServerTemplateInput;

  constructor(input: ServerTemplateInput) {
    this.#input = input;
  }

  render(version: ServerVersion, { running = true, restart, replacedAt, rolloutAt }: Variant = {}): Deployment {
    const { tenant, index, credentialsHash, ipFamily, templates } = this.#input;
    const facts = { ...version, credentialsHash, ipFamily, running, restart, replacedAt, rolloutAt };
    return deployment(tenant, index, facts, templates);
  }

  /** Whether a change from one version to the other replaces the pod. */
  differ(a: ServerVersion, b: ServerVersion): boolean {
    if (a.revision === b.revision && isSameImage(a.image, b.image)) return false;
    const { tenant, index, templates } = this.#input;
    const [one, other] = [a, b].map((version) =>
      templates.render(tenant, index, { ...this.#input, image: version.image }, version.revision),
    );
    return !isDeepStrictEqual(one, other);
  }

  /**
   * Whether the tenant's spec or credentials have changed since the live Deployment was written in this version. A difference alone does
   * not say so: it may be drift. A Deployment without a record is the tenant's own if it was applied as it would be now, or has the
   * template that it would have.
   */
  hasChanged(live: Deployment, version: ServerVersion, wasApplied: WasApplied): boolean {
    const { tenant, index, templates } = this.#input;
    const recorded = recordedTemplateOf(live);
    if (recorded.inputs !== undefined) {
      return recorded.inputs !== templateInputs(tenant, index, { ...this.#input, image: version.image }, templates);
    }
    if (recorded.revision > templates.current) return false;
    const same = this.render(version, { ...replacementsOf(live), running: (live.spec?.replicas ?? 0) > 0 });
    const differs = differences(same, live).some(({ path }) => path.startsWith('spec.template'));
    return differs && !wasApplied(same, live);
  }
}

function isSameImage(a: ServerImage, b: ServerImage): boolean {
  return a.image === b.image && a.guard === b.guard;
}

/** Whether exactly this was applied to the live Deployment last, whatever it has become since. */
export type WasApplied = (desired: Deployment, live: Deployment) => boolean;
