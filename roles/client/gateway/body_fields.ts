/** Reading the bodies of requests: each field by its name, each fault in words that name it. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";

/** Refuses a field that is not what it must be. @throws {LloomError} `request_invalid`, always */
export function mustBe(field: string, want: string): never {
  throw new LloomError("request_invalid", `read request: ${field} must be ${want}`);
}

/** Refuses what cannot be had on this network. @throws {LloomError} `feature_unsupported`, always */
export function unsupported(what: string): never {
  throw new LloomError("feature_unsupported", `read request: ${what}`);
}

/** A text. @throws {LloomError} `request_invalid` */
export function textField(value: unknown, field: string): string {
  return typeof value === "string" ? value : mustBe(field, "a text");
}

/** An object. @throws {LloomError} `request_invalid` */
export function objectField(value: unknown, field: string): JsonObject {
  return isJsonObject(value) ? value : mustBe(field, "an object");
}

/** A list; none where it is absent. @throws {LloomError} `request_invalid` */
export function listField(value: unknown, field: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : mustBe(field, "a list");
}

/** True or false. @throws {LloomError} `request_invalid` */
export function flagField(value: unknown, field: string, fallback: boolean): boolean {
  if (value === undefined || value === null) return fallback;
  return typeof value === "boolean" ? value : mustBe(field, "true or false");
}

/** A number within bounds; undefined where it is absent. @throws {LloomError} `request_invalid` */
export function numberField(
  value: unknown,
  field: string,
  low: number,
  high: number,
): number | undefined {
  if (value === undefined || value === null) return undefined;
  const fits = typeof value === "number" && value >= low && value <= high;
  return fits ? value : mustBe(field, `a number from ${low} to ${high}`);
}

/** The fields that are neither undefined nor null. */
export function present(fields: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  );
}

/**
 * Refuses fields that nobody would act on: to ignore them would be a false promise.
 * @param known those that are read, or that change no answer
 * @throws {LloomError} `request_invalid`
 */
export function refuseUnknown(body: JsonObject, known: ReadonlySet<string>): void {
  for (const [field, value] of Object.entries(body)) {
    if (known.has(field) || value === undefined || value === null) continue;
    const name = /^\w{1,64}$/.test(field) ? field : "with an unusual name";
    throw new LloomError("request_invalid", `read request: the field ${name} is not known here`);
  }
}

/** An image in the request itself. Executors fetch nothing for strangers. */
export function dataUrl(url: string, field: string): string {
  if (/^data:/i.test(url)) return url;
  return unsupported(`${field} must hold its data, as a data: URL: no executor fetches addresses`);
}
