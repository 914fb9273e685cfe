// The copier as a process of its own, with a lease, so that a test can stop and kill it as a kubelet or a node would.
import pino from 'pino';
import { exitOnCrash, stopOnSignal } from '../../src/kube/runtime/process.ts';
import { newCopier } from './copier.ts';

const log = pino({ level: 'info' }, pino.destination({ dest: 1, sync: true }));
exitOnCrash(log);
const { KUBECONFIG: kubeconfig = '', NAMESPACE: namespace = '', IDENTITY: identity = '', CRASH: crash } = process.env;
if (crash === 'rejection') void Promise.reject(new Error('not caught'));
if (crash === 'string') setImmediate(() => JSON.parse('{'));
const outcome = await newCopier({ kubeconfig, namespace, identity, log }).run(stopOnSignal(log));
log.info(outcome, 'ended');
process.exitCode = outcome.reason === 'stopped' ? 0 : 1;
