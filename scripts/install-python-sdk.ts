// Installs the Python SDK that tests use, before they enter the cluster's network, which may reach no package index.
import { pythonWithSdk } from '../test/support/python-sdk.ts';

console.log(`the Python SDK is in ${await pythonWithSdk()}`);
