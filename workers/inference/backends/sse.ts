/**
 * Server-sent events out of a byte stream, one network chunk at a time (WHATWG HTML, section 9.2).
 * @module
 */
import { LloomError } from "@lloom/core/errors";

/** One event. */
export interface SseEvent {
  /** `message` unless the stream names it. */
  readonly name: string;
  /** The `data` lines, joined by line feeds. */
  readonly data: string;
}

/**
 * An incremental parser. Every character is looked at once, however the stream is cut into chunks.
 * Events without data (comments, keep-alives) are dropped.
 *
 * @example
 * ```ts
 * import { SseParser } from "@lloom/workers/inference";
 * import assert from "node:assert/strict";
 *
 * const parser = new SseParser(1024);
 * const bytes = new TextEncoder().encode(": hello\ndata: 1\n\ndata: 2\n\n");
 * assert.deepEqual(parser.push(bytes).map((event) => event.data), ["1", "2"]);
 * ```
 */
export class SseParser {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  readonly #maxEventChars: number;
  /** Pieces of the line whose end has not arrived. */
  #line: string[] = [];
  #lineChars = 0;
  /** The data of the event whose end has not arrived; undefined before its first data line. */
  #data: string | undefined;
  #moreData: string[] = [];
  #dataChars = 0;
  #name = "";
  /** The last line ended with a carriage return: a line feed that follows belongs to it. */
  #afterReturn = false;

  /**
   * Starts at the beginning of a stream.
   * @param maxEventChars the longest event, in UTF-16 units, line names included
   */
  constructor(maxEventChars: number) {
    this.#maxEventChars = maxEventChars;
  }

  /**
   * The events that this chunk completes.
   * @throws {LloomError} `backend_malformed` if the bytes are not UTF-8 or an event is too long
   */
  push(chunk: Uint8Array): SseEvent[] {
    return this.#take(this.#decode(chunk, true));
  }

  /**
   * The event that the end of the stream completes, if its last blank line is missing: some
   * servers close right after the last data line.
   * @throws {LloomError} `backend_truncated` if the stream ends inside a character
   */
  finish(): SseEvent[] {
    const events = this.#take(this.#decode(new Uint8Array(), false));
    if (this.#lineChars > 0) this.#endLine("", events);
    this.#dispatch(events);
    return events;
  }

  #decode(chunk: Uint8Array, stream: boolean): string {
    try {
      return this.#decoder.decode(chunk, { stream });
    } catch (cause) {
      if (stream) {
        throw new LloomError("backend_malformed", "read event stream: not UTF-8", { cause });
      }
      throw new LloomError("backend_truncated", "read event stream: cut inside a character", {
        cause,
      });
    }
  }

  #take(text: string): SseEvent[] {
    const events: SseEvent[] = [];
    if (text === "") return events;
    let start = this.#afterReturn && text.startsWith("\n") ? 1 : 0;
    this.#afterReturn = false;
    // Each search goes on from the last hit, so that no stretch is searched twice.
    let feed = text.indexOf("\n", start);
    let carriage = text.indexOf("\r", start);
    while (feed !== -1 || carriage !== -1) {
      const byReturn = carriage !== -1 && (feed === -1 || carriage < feed);
      const end = byReturn ? carriage : feed;
      this.#endLine(text.slice(start, end), events);
      start = end + 1;
      if (byReturn) {
        if (feed === start) start++;
        else if (start === text.length) this.#afterReturn = true;
        carriage = text.indexOf("\r", start);
      }
      if (feed !== -1 && feed < start) feed = text.indexOf("\n", start);
    }
    if (start < text.length) {
      this.#line.push(text.slice(start));
      this.#lineChars += text.length - start;
      this.#checkLength();
    }
    return events;
  }

  #endLine(tail: string, events: SseEvent[]): void {
    let line = tail;
    if (this.#lineChars > 0) {
      this.#line.push(tail);
      line = this.#line.join("");
      this.#line = [];
      this.#lineChars = 0;
    }
    if (line === "") return this.#dispatch(events);
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") {
      this.#name = value;
    } else if (field === "data" || field === "error") {
      // llama.cpp before mid-2025 reports errors in a field of its own, `error: {…}`.
      if (field === "error") this.#name = "error";
      if (this.#data === undefined) this.#data = value;
      else this.#moreData.push(value);
      this.#dataChars += value.length + 1;
    }
    this.#checkLength();
  }

  #dispatch(events: SseEvent[]): void {
    if (this.#data !== undefined) {
      const data = this.#moreData.length === 0
        ? this.#data
        : [this.#data, ...this.#moreData].join("\n");
      events.push({ name: this.#name === "" ? "message" : this.#name, data });
      this.#data = undefined;
      this.#moreData = [];
      this.#dataChars = 0;
    }
    this.#name = "";
  }

  #checkLength(): void {
    if (this.#lineChars + this.#dataChars > this.#maxEventChars) {
      const message = `read event stream: an event above ${this.#maxEventChars} characters`;
      throw new LloomError("backend_malformed", message);
    }
  }
}
