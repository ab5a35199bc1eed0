// The screens, by their name in the address, in the order of the navigation.
import { Cost } from "./screens/cost.js";
import { Failures } from "./screens/failures.js";
import { Logs } from "./screens/logs.js";
import { Metrics } from "./screens/metrics.js";
import { Now } from "./screens/now.js";
import { Pipeline } from "./screens/pipeline.js";
import { RequestDetail } from "./screens/request_detail.js";
import { Requests } from "./screens/requests.js";
import { Tail } from "./screens/tail.js";
import { Traces } from "./screens/traces.js";

export const SCREENS = {
  now: { title: "Now", view: Now },
  failures: { title: "Failures", view: Failures },
  requests: { title: "Requests", view: Requests },
  metrics: { title: "Metrics", view: Metrics },
  cost: { title: "Cost", view: Cost },
  traces: { title: "Traces", view: Traces },
  logs: { title: "Logs", view: Logs },
  pipeline: { title: "Pipeline", view: Pipeline },
  tail: { title: "Tail", view: Tail },
};

/** Screens that other screens lead to. */
export const hiddenScreens = {
  trace: { title: "Request", view: RequestDetail, under: "requests" },
};

/** Returns a screen by its name in the address; undefined where there is none, also for a name that every object has. */
export function screenOf(name) {
  return [SCREENS, hiddenScreens].find((screens) => Object.hasOwn(screens, name))?.[name];
}
