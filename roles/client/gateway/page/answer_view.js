/**
 * What the page shows of a conversation's turns.
 * @module
 */
import { costOf, isFree, shortPeer } from "./words.js";

/** So far from its end a reader still means to follow an answer. */
const NEAR_PX = 40;

/** An element with text in it. What models say goes through here alone, so that it is never markup. */
function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function turn(log, className, title) {
  const article = element("article", className);
  article.append(element("h2", "who", title));
  log.append(article);
  return article;
}

/**
 * Shows a question.
 * @param {HTMLElement} log
 * @param {string} text
 * @returns {HTMLElement}
 */
export function showQuestion(log, text) {
  const article = turn(log, "question", "You");
  article.append(element("div", "text", text));
  return article;
}

/** An answer that grows. */
export class AnswerView {
  /** What was said so far. */
  text = "";
  #article;
  #log;
  #body = element("div", "text");
  #meta = element("p", "meta");
  #reasoning = element("div", "text");
  /** The text node that grows; a new one after a seam. */
  #run = document.createTextNode("");
  #pending = { text: "", reasoning: "" };
  #frame = 0;
  #pricing;
  /** @type {string[]} */
  #executors = [];
  #cached = false;
  #firstMs = 0;
  #lastMs = 0;
  #pieces = 0;
  #promptTokens;
  #usage;
  #outcome = "";

  /**
   * @param {HTMLElement} log
   * @param {{ id: string, pricing: { prompt: string, completion: string, currency?: string } }} model
   * @param {number} promptTokens an estimate, until the gateway tells their number
   */
  constructor(log, { id, pricing }, promptTokens) {
    this.#log = log;
    this.#pricing = pricing;
    this.#promptTokens = promptTokens;
    this.#body.append(this.#run);
    // It changes with every token: nobody wants to be read that aloud.
    this.#meta.setAttribute("aria-live", "off");
    this.#meta.textContent = "Waiting for an answer…";
    this.#article = turn(log, "answer", id);
    this.#article.append(this.#body, this.#meta);
    log.scrollTop = log.scrollHeight;
  }

  /** @param {import("./gateway.js").AnswerEvent} event */
  show(event) {
    switch (event.type) {
      case "executor":
        this.#cached = event.cached;
        if (this.#executors.length === 0) this.#executors.push(event.peerId);
        break;
      case "text":
        this.text += event.text;
        this.#pending.text += event.text;
        this.#count();
        break;
      case "reasoning":
        this.#pending.reasoning += event.text;
        this.#count();
        break;
      case "seam":
        this.#showSeam(event);
        break;
      case "usage":
        this.#usage = event;
        break;
    }
    // Not for every token: a fast model has more of them than a screen has frames.
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /** Ends it. @param {string} outcome in a word, where it is not whole */
  end(outcome = "") {
    this.#outcome = outcome;
    cancelAnimationFrame(this.#frame);
    this.#draw();
  }

  /** Takes it off the page. */
  remove() {
    cancelAnimationFrame(this.#frame);
    this.#article.remove();
  }

  /** What it took, in a line: who answered, tokens, their rate, and what they cost. */
  summary() {
    const tokens = this.#usage?.completionTokens ?? this.#pieces;
    const about = this.#usage === undefined ? "about " : "";
    const seconds = (this.#lastMs - this.#firstMs) / 1000;
    return [
      this.#cached ? "from the cache" : this.#executors.map(shortPeer).join(", then "),
      `${about}${tokens} ${tokens === 1 ? "token" : "tokens"}`,
      // The first token comes when the prompt was read: the time counts from there.
      seconds > 0 ? `${((tokens - 1) / seconds).toFixed(1)} tokens/s` : "",
      this.#cost(about, tokens),
      this.#outcome,
    ].filter((part) => part !== "").join(" · ");
  }

  #cost(about, tokens) {
    if (this.#usage?.cost !== undefined) {
      return `${this.#usage.cost} ${this.#usage.asset ?? ""}`.trimEnd();
    }
    if (this.#cached || this.#usage !== undefined || isFree(this.#pricing)) return "free";
    const cost = costOf(this.#pricing, this.#promptTokens, tokens);
    return `${about}${cost} ${this.#pricing.currency ?? ""}`.trimEnd();
  }

  #count() {
    this.#lastMs = performance.now();
    if (this.#pieces++ === 0) this.#firstMs = this.#lastMs;
  }

  #showSeam({ peerId, code }) {
    this.#draw();
    this.#executors.push(peerId);
    const words = `Continued by ${shortPeer(peerId)}: the executor before failed (${code}).`;
    const seam = element("span", "seam", words);
    seam.setAttribute("role", "note");
    this.#run = document.createTextNode("");
    this.#follow(() => this.#body.append(seam, this.#run));
  }

  #draw() {
    this.#frame = 0;
    this.#follow(() => {
      if (this.#pending.reasoning !== "") this.#drawReasoning();
      this.#run.appendData(this.#pending.text);
      this.#pending = { text: "", reasoning: "" };
      this.#meta.textContent = this.summary();
      this.#meta.title = this.#executors.join(", then ");
    });
  }

  /** Keeps the end in sight, unless the reader has gone back. */
  #follow(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    change();
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #drawReasoning() {
    if (this.#reasoning.parentElement === null) {
      const details = document.createElement("details");
      details.append(element("summary", "", "Reasoning"), this.#reasoning);
      this.#body.before(details);
    }
    this.#reasoning.append(this.#pending.reasoning);
  }
}
