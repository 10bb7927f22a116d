/** What the gateway counts, as Prometheus reads it. @module */
import { LloomError } from "@lloom/core/errors";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Answer, AnswerEnd, AnswerPiece, ApiName, Ask, Engine } from "./answer.ts";

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const TOKENS = [1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000];
const COSTS = [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1];

/** What is looked at when the metrics are read. */
export interface MetricFacts {
  /** Executors with a model that can be asked now. */
  readonly executorsAvailable: number;
  /** Peers connected. */
  readonly peersConnected: number;
}

/** The gateway's metrics. */
export class GatewayMetrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter("requests_total", "Requests by API and outcome.", [
    "api",
    "outcome",
  ]);
  readonly #active = this.#gauge("active_requests", "Requests being answered.");
  readonly #duration = this.#histogram(
    "request_duration_seconds",
    "From a request to the end of its answer.",
    SECONDS,
  );
  readonly #firstToken = this.#histogram(
    "time_to_first_token_seconds",
    "From a request to the first piece of its answer.",
    SECONDS,
  );
  readonly #tokens = this.#counter("tokens_used_total", "Tokens by direction, in or out.", [
    "direction",
  ]);
  readonly #perRequest = this.#histogram(
    "tokens_per_request",
    "Tokens of prompt and answer.",
    TOKENS,
  );
  readonly #cost = this.#counter("cost_total", "What was paid, in whole units.", ["asset"]);
  readonly #costPerRequest = this.#histogram(
    "cost_per_request",
    "What a paid request cost, in whole units.",
    COSTS,
  );
  readonly #executors = this.#gauge("executors_available", "Executors that can be asked now.");
  readonly #peers = this.#gauge("peers_connected", "Peers connected.");
  readonly #failovers = this.#counter(
    "failovers_total",
    "Executors that failed, so that others were asked.",
  );
  readonly #cache = this.#counter("cache_total", "Answers by hit or miss of the cache.", [
    "result",
  ]);

  /** Counts executors that failed before they said anything. */
  failed(count: number): void {
    this.#failovers.inc(count);
  }

  /** All of them, as text. */
  text({ executorsAvailable, peersConnected }: MetricFacts): Promise<string> {
    this.#executors.set(executorsAvailable);
    this.#peers.set(peersConnected);
    return this.#registry.metrics();
  }

  /** An engine whose requests are counted. */
  metered(engine: Engine): Engine {
    return { ask: (ask) => this.#ask(engine, ask) };
  }

  async #ask(engine: Engine, ask: Ask): Promise<Answer> {
    const startMs = performance.now();
    const { api, signal } = ask;
    this.#active.inc();
    let isOver = false;
    const over = (outcome: string) => {
      if (isOver) return;
      isOver = true;
      signal.removeEventListener("abort", left);
      this.#active.dec();
      this.#requests.inc({ api, outcome });
      this.#duration.observe({ api }, (performance.now() - startMs) / 1000);
    };
    // Whoever leaves may never have begun to read.
    const left = () => over("aborted");
    signal.addEventListener("abort", left, { once: true });
    let answer: Answer;
    try {
      answer = await engine.ask(ask);
    } catch (error) {
      over(LloomError.wrap(error).code);
      throw error;
    }
    answer.answering.then(({ cached }) => {
      this.#firstToken.observe({ api }, (performance.now() - startMs) / 1000);
      this.#cache.inc({ result: cached ? "hit" : "miss" });
    }, (error) => over(LloomError.wrap(error).code));
    const { id, model, createdS, answering } = answer;
    return { id, model, createdS, answering, pieces: () => this.#pieces(answer, api, over) };
  }

  async *#pieces(
    answer: Answer,
    api: ApiName,
    over: (outcome: string) => void,
  ): AsyncGenerator<AnswerPiece, void> {
    let outcome = "aborted";
    try {
      for await (const piece of answer.pieces()) {
        if (piece.type === "end") {
          this.#ended(api, piece.end);
          outcome = "ok";
        }
        yield piece;
      }
    } catch (error) {
      outcome = LloomError.wrap(error).code;
      throw error;
    } finally {
      over(outcome);
    }
  }

  #ended(api: ApiName, { promptTokens, completionTokens, cost, asset, cached }: AnswerEnd): void {
    if (cached) return;
    this.#tokens.inc({ direction: "in" }, promptTokens);
    this.#tokens.inc({ direction: "out" }, completionTokens);
    this.#perRequest.observe({ api }, promptTokens + completionTokens);
    if (cost === undefined || asset === undefined) return;
    // Only a measurement: accounts are kept in whole numbers.
    this.#cost.inc({ asset }, Number(cost));
    this.#costPerRequest.observe({ api }, Number(cost));
  }

  #counter<T extends string>(name: string, help: string, labelNames: T[] = []): Counter<T> {
    return new Counter({ ...this.#named(name, help), labelNames });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge(this.#named(name, help));
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram<"api"> {
    return new Histogram({ ...this.#named(name, help), buckets, labelNames: ["api"] });
  }

  #named(name: string, help: string) {
    return { name: `lloom_client_${name}`, help, registers: [this.#registry] };
  }
}
