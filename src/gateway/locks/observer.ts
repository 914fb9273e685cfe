/** What is counted of a store. */

/** What is asked of a store. */
export const OPERATIONS = ['read', 'advance', 'settle', 'forget', 'list', 'forgetTenant'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** `Done`: as it was asked. `Lost`: another was faster. `Unavailable`: the store gave no answer. `Invalid`: a wrong argument. */
export const OPERATION_RESULTS = ['Done', 'Lost', 'Unavailable', 'Invalid'] as const;
export type OperationResult = (typeof OPERATION_RESULTS)[number];

export interface CoordinationObserver {
  operated(operation: Operation, result: OperationResult, seconds: number): void;
}
