/** An endpoint of a chain that fails, lags and lies as told. @module */

/** What an endpoint does to a question before the chain hears it: answers, or lets it through. */
export type Interference = (method: string, params: readonly unknown[]) => unknown;

/** An endpoint in front of another. */
export class RpcProxy implements AsyncDisposable {
  /** Answers in the chain's place unless it returns undefined; a thrown error cuts the connection. */
  interfere: Interference = () => undefined;
  /** The methods asked for, in order. */
  readonly asked: string[] = [];
  readonly #target: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(target: string) {
    this.#target = target;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError: () => Response.error() },
      (request) => this.#answer(request),
    );
  }

  get rpcUrl(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async #answer(request: Request): Promise<Response> {
    const body = await request.text();
    const { id, method, params } = JSON.parse(body);
    this.asked.push(method);
    let result: unknown;
    try {
      result = await this.interfere(method, params);
    } catch (error) {
      return new Response(String(error), { status: 503 });
    }
    if (result !== undefined) return Response.json({ jsonrpc: "2.0", id, result });
    const headers = { "content-type": "application/json" };
    return await fetch(this.#target, { method: "POST", headers, body });
  }

  /** One question to the chain itself. */
  async ask(method: string, ...params: readonly unknown[]): Promise<unknown> {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const answer = await (await fetch(this.#target, { method: "POST", headers, body })).json();
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}
