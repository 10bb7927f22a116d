/** Stored responses, as the Responses API uses them. @module */
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import type { StoredResponse } from "@lloom/host/stores";
import { MAX_CHAIN, MAX_RECALLED_CHARS } from "../limits.ts";
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
 * @throws {LloomError} `request_invalid` if it, or one before it, is not kept or not over,
 * `frame_too_large`
 */
export function conversationOf(store: ResponseStore, id: string): readonly JsonObject[] {
  const turns: (readonly JsonObject[])[] = [];
  const recall = new Recall();
  for (let next: string | undefined = id; next !== undefined;) {
    const stored = store.get(next);
    if (stored === undefined) refuse(`the response ${shown(next)} is not kept here`);
    if (stored.job !== undefined) refuse(`the response ${shown(next)} is not over yet`);
    if (turns.length === MAX_CHAIN) refuse(`above ${MAX_CHAIN} responses go on from each other`);
    recall.take(stored.input.length + stored.response.length);
    const input: readonly JsonObject[] = JSON.parse(stored.input);
    turns.push([...input, ...responseOf(stored).output]);
    next = stored.previousId;
  }
  return turns.reverse().flat();
}

/**
 * Items with what they refer to in place of references.
 * @throws {LloomError} `request_invalid` if one refers to what is not kept, `frame_too_large`
 */
export function resolveReferences(
  store: ResponseStore,
  items: readonly JsonObject[],
): readonly JsonObject[] {
  // Clients refer to all items of one response, one by one.
  const outputs = new Map<string, readonly Recalled[]>();
  const recall = new Recall();
  return items.map((item) => {
    if (!isReference(item)) return item;
    const id = String(item.id);
    const place = placeOfItem(id);
    if (place === undefined) refuse(`the item ${shown(id)} is none of this gateway's`);
    let output = outputs.get(place.responseId);
    if (output === undefined) {
      const stored = store.get(place.responseId);
      recall.take(stored?.response.length ?? 0);
      output = stored === undefined ? [] : responseOf(stored).output.map(recalled);
      outputs.set(place.responseId, output);
    }
    const found = output[place.index] ?? refuse(`the item ${shown(id)} is not kept here`);
    recall.take(found.chars);
    return found.item;
  });
}

/** An item, and how long it is. */
interface Recalled {
  readonly item: JsonObject;
  readonly chars: number;
}

function recalled(item: JsonObject): Recalled {
  return { item, chars: JSON.stringify(item).length };
}

/** Bounds what one request has read: a few bytes can refer to all that is kept, again and again. */
class Recall {
  #left = MAX_RECALLED_CHARS;

  /** @throws {LloomError} `frame_too_large` */
  take(chars: number): void {
    this.#left -= chars;
    if (this.#left >= 0) return;
    throw new LloomError(
      "frame_too_large",
      "read request: it refers to more than a request may hold",
    );
  }
}

function refuse(what: string): never {
  throw new LloomError("request_invalid", `read request: ${what}`);
}

/** An id from outside, if it may stand in a message. */
function shown(id: string): string {
  return /^[\w-]{1,80}$/.test(id) ? id : "with an unusual id";
}
