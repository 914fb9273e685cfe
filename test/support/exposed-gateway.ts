/** The operator and the gateway as they are installed where clients are outside of the cluster, and what stands there around them: all in the namespace of a test. */
import { once } from 'node:events';
import { connect as dialTls, type ConnectionOptions } from 'node:tls';
import { GROUP } from '../../src/api/names.ts';
import { Pod, Secret } from '../../src/kube/types/builtins.ts';
import { bindingFrom, type Binding } from './chat.ts';
import type { TestNamespace } from './cluster.ts';
import { startNodePod } from './node-pod.ts';
import { portForward, type Forward } from './port-forward.ts';
import { PrivateCA, type ServerCertificate } from './private-ca.ts';
import { SERVICE_MONITOR } from './prometheus-crd.ts';
import { LITTLE, Release } from './release.ts';
import { toolPath } from './tools.ts';

/** Secret with the certificate of the TLS listener. */
const CERTIFICATE = 'gateway-certificate';
const PODS = 'app.kubernetes.io/name=copilot-gateway';
/** Of the issuer's pod and Service. */
const ISSUER = 'issuer';

export class ExposedGateway implements AsyncDisposable {
  readonly namespace: TestNamespace;
  readonly release: Release;
  /** With what it is installed. */
  readonly values: Values;
  readonly #serverCA: PrivateCA;
  readonly #clientCA: PrivateCA;

  private constructor(
    namespace: TestNamespace,
    release: Release,
    values: Values,
    cas: readonly [PrivateCA, PrivateCA],
  ) {
    this.namespace = namespace;
    this.release = release;
    this.values = values;
    [this.#serverCA, this.#clientCA] = cas;
  }

  /**
   * Installs it with all that the chart can switch on: TLS with certificates of clients, the pod `balancer` as a load balancer that is believed beside the
   * pod `stranger` that is not, an OIDC issuer in the cluster, an autoscaler, and ServiceMonitors. It goes with the namespace.
   */
  static async install(namespace: TestNamespace, autoscaling: Autoscaling): Promise<ExposedGateway> {
    const { name } = namespace;
    const cas = [new PrivateCA(), new PrivateCA('clients')] as const;
    const [serverCA, clientCA] = cas;
    const host = `${ISSUER}.${name}.svc`;
    await haveServiceMonitors(namespace);
    await putCertificate(namespace, CERTIFICATE, serverCA.issue('DNS:first.test'), clientCA);
    await putCertificate(namespace, ISSUER, serverCA.issue(`DNS:${host}`), clientCA);
    const args = [`${name}-copilot-gateway.${name}.svc`, '4321'];
    const balancer = { program: 'balancer.mjs', args, ports: [8080, 4000, 4001, 4002] };
    const url = `https://${host}:8443`;
    const issuer = { name: ISSUER, program: 'issuer.mjs', args: [url], ports: [8443], certificate: ISSUER };
    const [address] = await Promise.all([
      startNodePod(namespace, { ...balancer, name: 'balancer' }),
      startNodePod(namespace, { ...balancer, name: 'stranger' }),
      startNodePod(namespace, issuer),
    ]);
    const claim = (of: string) => ({ claim: of, prefix: 'oidc:' });
    const trusted = { url, audiences: ['copilot-gateway'], certificateAuthority: serverCA.pem };
    const values: Values = {
      replicas: 1,
      metrics: { serviceMonitor: { enabled: true, labels: { release: 'prometheus' } } },
      gateway: {
        ...LITTLE.gateway,
        tls: { secretName: CERTIFICATE, clientCertificates: true },
        proxyProtocolFrom: [address],
        oidc: { jwt: [{ issuer: trusted, claimMappings: { username: claim('sub'), groups: claim('groups') } }] },
        autoscaling: { enabled: true, ...autoscaling },
      },
    };
    return namespace.use(new ExposedGateway(namespace, await Release.install(namespace, { values }), values, cas));
  }

  /** The replicas that serve. */
  async pods(): Promise<string[]> {
    const pods = await this.namespace.list(Pod, PODS);
    const isReady = ({ status }: Pod) =>
      status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True');
    return pods.filter(isReady).map(({ metadata }) => metadata.name);
  }

  /** A way to a port of a pod or a Service. A connection that breaks may end it. */
  to(target: string, port: number): Promise<Forward> {
    return portForward(toolPath('kubectl'), this.namespace.name, target, port);
  }

  /** A way to a replica. */
  toReplica(port = 4321): Promise<Forward> {
    return this.to(`service/${this.release.gatewayName}`, port);
  }

  /** What an application of the tenant knows, with another way to the gateway. */
  async bindingOf(tenant: string, { port }: Pick<Forward, 'port'>): Promise<Binding> {
    const { data = {} } = await this.namespace.client.get(Secret, this.namespace.ref(`${tenant}-binding`));
    return { ...bindingFrom(data), host: '127.0.0.1', port };
  }

  /** What a user of the issuer knows: a token with these claims, for the tenant. */
  async bindingOfUser(tenant: string, claims: object, { port }: Pick<Forward, 'port'>): Promise<Binding> {
    const query = encodeURIComponent(JSON.stringify(claims));
    const path = `/api/v1/namespaces/${this.namespace.name}/services/https:${ISSUER}:8443/proxy/token?claims=${query}`;
    const credential = await this.namespace.kubectl.ok(['get', '--raw', path]);
    return { host: '127.0.0.1', port, token: `${this.namespace.name}/${tenant}:${credential}` };
  }

  /** Lets a group connect to a tenant. */
  async allow(group: string, tenant: string): Promise<void> {
    const { name, kubectl } = this.namespace;
    const right = ['--verb=connect', `--resource=copilottenants.${GROUP}`, `--resource-name=${tenant}`];
    await kubectl.ok(['create', 'role', group, ...right, '-n', name]);
    await kubectl.ok(['create', 'rolebinding', group, `--role=${group}`, `--group=oidc:${group}`, '-n', name]);
  }

  /** With what a client connects to the TLS listener: with a certificate that it takes, unless another one is given, or none. */
  tlsOptions(
    port: number,
    certificate: ServerCertificate | 'None' = this.#clientCA.issue('DNS:client.test'),
  ): ConnectionOptions {
    const { pem: ca } = this.#serverCA;
    return {
      host: '127.0.0.1',
      port,
      ca,
      checkServerIdentity: () => undefined,
      ...(certificate !== 'None' && certificate),
    };
  }

  /** A certificate that no client may come with: it is signed as those of servers are. */
  foreignCertificate(): ServerCertificate {
    return this.#serverCA.issue('DNS:client.test');
  }

  /** Exchanges the certificate of the TLS listener, as somebody who renews it does. */
  async exchangeCertificate(dnsName: string): Promise<void> {
    await putCertificate(this.namespace, CERTIFICATE, this.#serverCA.issue(`DNS:${dnsName}`), this.#clientCA);
    // Has the kubelet look at the pods at once, and not only within its minute.
    const { kubectl, name } = this.namespace;
    await kubectl.ok(['annotate', 'pod', '-n', name, '-l', PODS, '--overwrite', `test/certificate=${dnsName}`]);
  }

  /** For which names the certificate is that a replica shows now. */
  async certificateNames(pod: string): Promise<string | undefined> {
    await using forward = await this.to(`pod/${pod}`, 4322);
    const socket = dialTls(this.tlsOptions(forward.port));
    try {
      await once(socket, 'secureConnect');
      return socket.getPeerCertificate().subjectaltname;
    } finally {
      socket.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release.uninstall();
    this.#serverCA[Symbol.dispose]();
    this.#clientCA[Symbol.dispose]();
  }
}

interface Autoscaling {
  readonly enabled?: boolean;
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

interface Values {
  readonly gateway: { readonly autoscaling: Autoscaling; readonly [name: string]: unknown };
  readonly [name: string]: unknown;
}

/** Makes the kind ServiceMonitor, unless the cluster has it already; what was made goes with the namespace. */
async function haveServiceMonitors(namespace: TestNamespace): Promise<void> {
  const { kubectl } = namespace;
  const { name } = SERVICE_MONITOR.metadata;
  if ((await kubectl.try(['get', 'crd', name])).code === 0) return;
  await kubectl.ok(['create', '-f', '-'], SERVICE_MONITOR);
  namespace.use({ [Symbol.asyncDispose]: async () => void (await kubectl.ok(['delete', 'crd', name])) });
  await kubectl.ok(['wait', `crd/${name}`, '--for=condition=Established', '--timeout=30s']);
}

/** A Secret as those have it who renew certificates, with what those of clients are signed with. */
async function putCertificate(
  namespace: TestNamespace,
  name: string,
  { cert, key }: ServerCertificate,
  clientCA: PrivateCA,
): Promise<void> {
  const values = { 'tls.crt': cert, 'tls.key': key, 'ca.crt': clientCA.pem };
  const data = Object.fromEntries(
    Object.entries(values).map(([of, value]) => [of, Buffer.from(value).toString('base64')]),
  );
  const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: namespace.name }, data };
  // Not deleted and made anew: it is in use when it is exchanged.
  await namespace.kubectl.ok(['apply', '--server-side', '-f', '-'], manifest);
}
