// Installs the SDKs that tests use beside that of this project, before they enter the cluster's network, which may reach no package index.
import { previewSdk } from '../test/support/preview-sdk.ts';
import { pythonWithSdk } from '../test/support/python-sdk.ts';

console.log(`the Python SDK is in ${await pythonWithSdk()}`);
console.log(`the preview of the Node SDK is in ${await previewSdk()}`);
