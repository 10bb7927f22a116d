/** Stored responses, as the Responses API uses them. @module */
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import type { StoredResponse } from "@lloom/host/stores";
import { MAX_CHAIN } from "../limits.ts";
import { placeOfItem } from "./item_blocks.ts";
import { isReference } from "./response_items.ts";
import type { ResponseObject } from "./response_types.ts";

/** Where responses are kept. */
export interface ResponseStore {
  /** Keeps one, in place of one with the same id. @param nowS Unix seconds */
  put(stored: StoredResponse, nowS: number): void;
  /** One; undefined if it is not kept. */
  get(id: string): StoredResponse | undefined;
  /** Forgets one. @returns whether there was one */
  delete(id: string): boolean;
  /** Ids of those that are still to be made, or told of, the oldest first. */
  unfinished(): readonly string[];
}

/** The response in a record. It was written by us, so it is not checked again. */
export function responseOf({ response }: StoredResponse): ResponseObject {
  return JSON.parse(response);
}

/**
 * All items up to the end of a response: what was said before a request that goes on from it.
 * @throws {LloomError} `request_invalid` if it, or one before it, is not kept or not over
 */
export function conversationOf(store: ResponseStore, id: string): readonly JsonObject[] {
  const turns: (readonly JsonObject[])[] = [];
  for (let next: string | undefined = id; next !== undefined;) {
    const stored = store.get(next);
    if (stored === undefined) refuse(`the response ${shown(next)} is not kept here`);
    if (stored.job !== undefined) refuse(`the response ${shown(next)} is not over yet`);
    if (turns.length === MAX_CHAIN) refuse(`above ${MAX_CHAIN} responses go on from each other`);
    const input: readonly JsonObject[] = JSON.parse(stored.input);
    turns.push([...input, ...responseOf(stored).output]);
    next = stored.previousId;
  }
  return turns.reverse().flat();
}

/**
 * Items with what they refer to in place of references.
 * @throws {LloomError} `request_invalid` if one refers to what is not kept
 */
export function resolveReferences(
  store: ResponseStore,
  items: readonly JsonObject[],
): readonly JsonObject[] {
  // Clients refer to all items of one response, one by one.
  const outputs = new Map<string, readonly JsonObject[]>();
  return items.map((item) => {
    if (!isReference(item)) return item;
    const id = String(item.id);
    const place = placeOfItem(id);
    if (place === undefined) refuse(`the item ${shown(id)} is none of this gateway's`);
    let output = outputs.get(place.responseId);
    if (output === undefined) {
      const stored = store.get(place.responseId);
      output = stored === undefined ? [] : responseOf(stored).output;
      outputs.set(place.responseId, output);
    }
    return output[place.index] ?? refuse(`the item ${shown(id)} is not kept here`);
  });
}

function refuse(what: string): never {
  throw new LloomError("request_invalid", `read request: ${what}`);
}

/** An id from outside, if it may stand in a message. */
function shown(id: string): string {
  return /^[\w-]{1,80}$/.test(id) ? id : "with an unusual id";
}
