/**
 * Lloom as a library: a client, an executor and a validator of the network, and what they are made
 * with. Each role is a package of its own, too.
 *
 * @example Who a node is
 * ```ts
 * import { generateIdentity } from "@lloom/lloom";
 * import assert from "node:assert/strict";
 *
 * const identity = generateIdentity();
 * assert.match(identity.peerId, /^16Uiu2/);
 * ```
 * @module
 */
export * from "@lloom/client";
export { Executor, type ExecutorOptions, type ModelTest } from "@lloom/executor";
export { Validator, type ValidatorOptions } from "@lloom/validator";
export { type ErrorCode, LloomError } from "@lloom/core/errors";
export { generateIdentity, Identity, parsePrivateKey } from "@lloom/core/identity";
