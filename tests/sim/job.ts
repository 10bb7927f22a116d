/** Part of a simulation, in a worker: says that it is there, is told which part, and answers. @module */
import { runMarket } from "./market.ts";
import { runRounds, type Task } from "./rounds.ts";

self.onmessage = async ({ data }: MessageEvent<Task>): Promise<void> => {
  self.postMessage(await runRounds(data, (seed) => runMarket(seed)));
};
self.postMessage("ready");
