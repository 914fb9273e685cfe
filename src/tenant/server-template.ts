/** Renders the Deployment of one server at any revision, and finds out whether its tenant has changed since it was written. */
import type { Deployment } from '../kube/types/builtins.ts';
import { differences } from '../kube/write/diff.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { deployment, templateInputs } from './builders/deployment.ts';
import type { PodTemplates } from './builders/pod-template/template.ts';
import { recordedTemplateOf } from './deployments.ts';
import type { Restart, ServerImage } from './model.ts';

/** What a server's Deployment is rendered from. */
export interface ServerTemplateInput {
  readonly tenant: CopilotTenant;
  readonly index: number;
  readonly image: ServerImage;
  readonly credentialsHash: string;
  readonly templates: PodTemplates;
}

/** What of the Deployment is not fixed by the tenant. */
export interface Variant {
  readonly revision: number;
  /** Default: true. */
  readonly running?: boolean;
  readonly restart?: Restart | undefined;
}

/** The Deployment of one server. */
export class ServerTemplate {
  readonly #input: ServerTemplateInput;

  constructor(input: ServerTemplateInput) {
    this.#input = input;
  }

  render({ revision, running = true, restart }: Variant): Deployment {
    const { tenant, index, image, credentialsHash, templates } = this.#input;
    return deployment(tenant, index, { image, credentialsHash, running, restart, revision }, templates);
  }

  /**
   * Whether the tenant's spec or credentials have changed since the live Deployment was written. A difference alone does not say so: it
   * may be drift. A Deployment without a record is the tenant's own if it was applied as it would be now, or has the template that it
   * would have.
   */
  hasChanged(live: Deployment, restart: Restart | undefined, wasApplied: WasApplied): boolean {
    const { tenant, index, templates } = this.#input;
    const recorded = recordedTemplateOf(live);
    if (recorded.inputs !== undefined) {
      return recorded.inputs !== templateInputs(tenant, index, this.#input, templates);
    }
    if (recorded.revision > templates.current) return false;
    const same = this.render({ revision: recorded.revision, restart, running: (live.spec?.replicas ?? 0) > 0 });
    const differs = differences(same, live).some(({ path }) => path.startsWith('spec.template'));
    return differs && !wasApplied(same, live);
  }
}

/** Whether exactly this was applied to the live Deployment last, whatever it has become since. */
export type WasApplied = (desired: Deployment, live: Deployment) => boolean;
