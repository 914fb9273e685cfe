/**
 * A container group of Azure Container Instances: the fields that an export sets, by the names of Azure's API. A test compares what is
 * exported with the names and types of Azure's own models (test/fixtures/azure/container-group.json).
 */

/** The version of Azure's API that the names are of. */
export const ACI_API_VERSION = '2023-05-01';

export interface AciVariable {
  readonly name: string;
  readonly value?: string;
  /** Azure does not show it again. */
  readonly secureValue?: string;
}

export interface AciProbe {
  readonly exec: { readonly command: readonly string[] };
  readonly initialDelaySeconds?: number;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
}

export interface AciContainer {
  readonly name: string;
  readonly properties: {
    readonly image: string;
    readonly command: readonly string[];
    readonly ports: readonly AciPort[];
    readonly environmentVariables: readonly AciVariable[];
    readonly resources: { readonly requests: { readonly cpu: number; readonly memoryInGB: number } };
    readonly volumeMounts: readonly {
      readonly name: string;
      readonly mountPath: string;
      readonly readOnly?: boolean;
    }[];
    readonly livenessProbe: AciProbe;
    readonly readinessProbe: AciProbe;
    readonly securityContext: {
      readonly runAsUser: number;
      readonly runAsGroup: number;
      readonly allowPrivilegeEscalation: boolean;
    };
  };
}

export interface AciPort {
  readonly port: number;
  readonly protocol: 'TCP';
}

export interface AciVolume {
  readonly name: string;
  readonly azureFile?: {
    readonly shareName: string;
    readonly storageAccountName: string;
    readonly storageAccountKey: string;
  };
  /** File names, each with its content in base64. */
  readonly secret?: Readonly<Record<string, string>>;
}

/** What `az container create --file` takes. */
export interface ContainerGroup {
  readonly apiVersion: string;
  readonly name: string;
  readonly location: string;
  readonly properties: {
    readonly osType: 'Linux';
    readonly restartPolicy: 'Always';
    readonly ipAddress: { readonly type: 'Private'; readonly ports: readonly AciPort[] };
    readonly subnetIds: readonly { readonly id: string }[];
    readonly containers: readonly AciContainer[];
    readonly volumes: readonly AciVolume[];
    readonly imageRegistryCredentials?: readonly {
      readonly server: string;
      readonly username: string;
      readonly password: string;
    }[];
  };
}
