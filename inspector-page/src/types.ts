/** The data of the server, as `docs/dev.md` describes it. Instants are Unix milliseconds, durations milliseconds. */

export type Scalar = string | number | boolean | null;
export type Value = Scalar | Value[] | { [key: string]: Value };
export type Attributes = Record<string, Value>;

export interface Request {
  trace_id: string;
  span_id: string;
  service: string;
  kind: "http" | "websocket" | "operation" | "task" | "other";
  method: string | null;
  route: string | null;
  name: string;
  path: string | null;
  start: number;
  duration: number;
  status: number | null;
  error: boolean;
  error_type: string | null;
  statements: number;
  repeated: number;
  logs: number;
  spans: number;
  client_calls: number;
}

export interface Failure {
  type: string;
  message: string;
  stacktrace: string;
}

export interface Sql {
  system: string;
  text: string;
  formatted: string;
  summary: string;
  repeats: number;
  source: string | null;
  can_explain: boolean;
}

export interface SpanEvent {
  time: number;
  name: string;
  attributes: Attributes;
}

export interface SpanLink {
  trace_id: string;
  span_id: string;
  attributes: Attributes;
}

export interface Span {
  span_id: string;
  parent_id: string | null;
  service: string;
  scope: string;
  name: string;
  kind: "server" | "client" | "internal" | "producer" | "consumer";
  start: number;
  duration: number;
  status: "unset" | "ok" | "error";
  status_message: string;
  attributes: Attributes;
  resource: Attributes;
  events: SpanEvent[];
  links: SpanLink[];
  sql: Sql | null;
  exception: Failure | null;
}

export interface Log {
  id?: string;
  time: number;
  severity: string;
  severity_number: number;
  body: string;
  service: string;
  logger: string;
  trace_id: string | null;
  span_id: string | null;
  attributes: Attributes;
  exception: Failure | null;
}

export interface Repeated {
  summary: string;
  text: string;
  count: number;
  source: string | null;
  hint_kind: "by_key" | "insert" | "change" | "same";
  span_ids: string[];
}

export interface Trace {
  trace_id: string;
  start: number;
  duration: number;
  services: string[];
  error: boolean;
  spans: Span[];
  logs: Log[];
  repeated: Repeated[];
}

export interface Endpoint {
  service: string;
  method: string | null;
  route: string | null;
  count: number;
  errors: number;
  p50: number;
  p95: number;
  max: number;
  statements_mean: number;
  last_start: number;
  slowest_trace_id: string | null;
}

export interface ErrorGroup {
  fingerprint: string;
  type: string;
  message: string;
  service: string;
  route: string | null;
  count: number;
  first: number;
  last: number;
  trace_id: string | null;
  stacktrace: string | null;
}

export interface Statement {
  service: string;
  system: string;
  summary: string;
  text: string;
  formatted?: string;
  count: number;
  total: number;
  p50: number;
  p95: number;
  max: number;
  errors: number;
  repeated_in: number;
  sources: { source: string; count: number }[];
  slowest_trace_id: string | null;
  slowest_span_id?: string | null;
  can_explain: boolean;
}

export interface Metric {
  id: string;
  name: string;
  description: string;
  unit: string;
  type: "counter" | "updown" | "gauge" | "histogram";
  service: string;
  series: number;
}

export interface NumberPoint {
  time: number;
  value: number;
}

export interface HistogramPoint {
  time: number;
  count: number;
  sum: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface Exemplar {
  time: number;
  value: number;
  trace_id: string;
  span_id: string;
}

export interface Series {
  attributes: Attributes;
  points: (NumberPoint | HistogramPoint)[];
  exemplars: Exemplar[];
}

export interface MetricSeries {
  id: string;
  name: string;
  unit: string;
  type: Metric["type"];
  series: Series[];
}

export interface Service {
  name: string;
  version: string | null;
  language: string | null;
  instances: number;
  requests: number;
  errors: number;
  spans: number;
  first: number;
  last: number;
}

export interface Edge {
  from: string;
  to: string;
  kind: "http" | "database" | "messaging" | "other";
  count: number;
  errors: number;
  p95: number;
}

export interface ServiceMap {
  services: Service[];
  edges: Edge[];
}

export interface StoreStatus {
  spans: number;
  logs: number;
  points: number;
  bytes: number;
  limit_bytes: number;
  limit_spans: number;
  evicted_spans: number;
  dropped: number;
  started: number;
  keep: boolean;
}

export interface ProcessStatus {
  service: string;
  instance: string;
  status: { [key: string]: Value } | null;
}

export interface InspectorStatus {
  store: StoreStatus;
  endpoints: { http: string; grpc: string | null };
  command: { argv: string[]; pid: number; running: boolean; exit_code: number | null } | null;
  instrumentation: ProcessStatus[];
}

export interface Counts {
  requests: number;
  logs: number;
  errors: number;
  spans: number;
  evicted: number;
}

export interface Paged<T> {
  items: T[];
  next: string | null;
  total: number;
}
