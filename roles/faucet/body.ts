/** Reads what strangers send. @module */
import { Problem } from "./problem.ts";

/** The fields of a request's body: JSON from programs, a form from the faucet's own pages. */
export interface Body {
  /** How it came, and how the answer should be. */
  readonly form: boolean;
  /** A field's text; other types than text are as if they were absent. */
  text(name: string): string;
  /** All names. */
  readonly names: readonly string[];
}

/** No field of ours is longer. */
const MAX_FIELD = 2_000;

/**
 * Reads a body.
 * @throws {Problem} `media_type_unsupported` if it is neither form nor JSON, `request_invalid` if it
 * is not what it says, or a field is too long
 */
export async function readBody(request: Request): Promise<Body> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type === "application/x-www-form-urlencoded") {
    return toBody(true, new Map(new URLSearchParams(await request.text())));
  }
  if (type === "application/json") return toBody(false, parseObject(await request.text()));
  throw new Problem("media_type_unsupported", "Send JSON, with content-type application/json.");
}

function parseObject(text: string): ReadonlyMap<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Problem("request_invalid", "The body is not JSON.", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Problem("request_invalid", "The body is not a JSON object.");
  }
  return new Map(Object.entries(value));
}

function toBody(form: boolean, fields: ReadonlyMap<string, unknown>): Body {
  for (const value of fields.values()) {
    if (typeof value === "string" && value.length > MAX_FIELD) {
      throw new Problem("request_invalid", `A field is longer than ${MAX_FIELD} characters.`);
    }
  }
  return {
    form,
    names: [...fields.keys()],
    text(name) {
      const value = fields.get(name);
      return typeof value === "string" ? value : "";
    },
  };
}
