#!/usr/bin/env node
/** The one program of the project. Each command loads only what it needs, so that the operator starts in a fraction of a second. */
import { CLEANUP_FLAGS, parseCleanupOptions } from './commands/cleanup/options.ts';
import { EXPORT_FLAGS, parseExportOptions } from './commands/export/options.ts';
import { UsageError } from './commands/flags.ts';
import { GATEWAY_FLAGS, parseGatewayOptions } from './commands/gateway/options.ts';
import { ConfigError } from './kube/types/errors.ts';
import { GUARD_FLAGS, parseGuardOptions } from './commands/guard/options.ts';
import { OPERATOR_FLAGS, parseOperatorOptions } from './commands/operator/options.ts';

const usage = `Usage: copilot-operator COMMAND [FLAGS]

Commands:
  operator    Run the controllers of CopilotTenants and CopilotSessions.
  gateway     Serve clients of the Copilot SDK: one address for all tenants.
  guard       Stand before a CLI server on a shared volume. Needs no access to Kubernetes.
  ping        Ping a Copilot CLI server: ping HOST[:PORT], with its connection token in COPILOT_CONNECTION_TOKEN.
  cleanup     Delete unused sessions or one session, or sweep volumes. Needs no access to Kubernetes.
  export      Print a server of a tenant for Azure Container Instances: export aci NAMESPACE/TENANT.
  crds        Print the CustomResourceDefinitions.
  help        Print this help.

Flags of operator:
${OPERATOR_FLAGS}

Flags of gateway:
${GATEWAY_FLAGS}

Flags of guard:
${GUARD_FLAGS}

Flags of cleanup:
${CLEANUP_FLAGS}

Flags of export:
${EXPORT_FLAGS}
`;

/** Resolves to the exit code: 0 succeeded, 1 failed, 2 wrong command line. */
async function main([command = '', ...args]: readonly string[]): Promise<number> {
  switch (command) {
    case 'operator': {
      const options = parseOperatorOptions(args, process.env);
      const { runOperator } = await import('./commands/operator/command.ts');
      return runOperator(options);
    }
    case 'gateway': {
      const options = parseGatewayOptions(args, process.env);
      const { runGateway } = await import('./commands/gateway/command.ts');
      return runGateway(options);
    }
    case 'guard': {
      const options = parseGuardOptions(args, process.env);
      const { runGuard } = await import('./commands/guard/command.ts');
      return runGuard(options);
    }
    case 'ping': {
      const { runPing } = await import('./commands/ping/command.ts');
      return runPing(args, process.env);
    }
    case 'cleanup': {
      const options = parseCleanupOptions(args, process.env);
      const { runCleanup } = await import('./commands/cleanup/command.ts');
      return runCleanup(options);
    }
    case 'export': {
      const options = parseExportOptions(args);
      const { runExport } = await import('./commands/export/command.ts');
      return runExport(options);
    }
    case 'crds': {
      const { printCrds } = await import('./commands/crds/command.ts');
      return printCrds();
    }
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(usage);
      return 0;
    default:
      throw new UsageError(
        `${command === '' ? 'missing command' : `unknown command "${command}"`}: use operator, gateway, guard, ping, cleanup, export, crds or help`,
      );
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof ConfigError) process.stderr.write(`copilot-operator: ${error.message}\n`);
  else if (error instanceof UsageError) process.stderr.write(`copilot-operator: ${error.message}\n\n${usage}`);
  else throw error;
  process.exitCode = 2;
}
