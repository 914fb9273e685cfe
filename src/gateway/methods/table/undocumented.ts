/** Methods that stand in no schema and that every SDK calls. */
import type { MethodLine } from '../line.ts';

/** In the order of names: method, what is done in a Dedicated tenant, the same or denied in a Shared one, why. */
export const UNDOCUMENTED_METHODS: readonly MethodLine[] = [
  ['session.create', 'attach', 'same', 'Attachment'],
  ['session.resume', 'attach', 'same', 'Attachment'],
  ['session.detach', 'detach', 'same', 'Detachment'],
  ['session.destroy', 'detach', 'same', 'Detachment'],
  ['session.delete', 'delete', 'same', 'Deletion'],
  ['session.list', 'relay', 'own', 'ManySessions', 'Sessions'],
  ['session.getLastId', 'relay', 'own', 'ManySessions', 'Last'],
  ['session.getForeground', 'relay', 'deny', 'ManySessions', 'Union'],
  ['session.setForeground', 'relay', 'deny', 'ManySessions'],
  ['session.getMessages', 'relay', 'same', 'OneSession'],
  ['session.getMetadata', 'relay', 'same', 'OneSession'],
  ['session.sendAndWait', 'deny', 'same', 'WholeTurn'],
  ['status.get', 'relay', 'same', 'ServerReads'],
  ['auth.getStatus', 'relay', 'deny', 'ServerReads'],
];
