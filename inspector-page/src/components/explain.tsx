/** The query plan of a statement, on demand: the server asks the development database. */

import { useState } from "preact/hooks";
import { post } from "../api.ts";
import { t } from "../i18n.ts";
import { Problem } from "./parts.tsx";

export function Explain({ traceId, spanId }: { traceId: string; spanId: string }) {
  const [plan, setPlan] = useState<{ plan?: string; error?: string } | null>(null);
  const [busy, setBusy] = useState(false);
  const ask = (): void => {
    setBusy(true);
    post<{ plan?: string; error?: string }>("/api/explain", { trace_id: traceId, span_id: spanId })
      .then(setPlan, (error: unknown) => setPlan({ error: String((error as Error).message) }))
      .finally(() => setBusy(false));
  };
  return (
    <div class="explain">
      {!plan?.plan && <button type="button" class="button" disabled={busy} onClick={ask}>EXPLAIN</button>}
      {plan?.error && <Problem text={plan.error} />}
      {plan?.plan && (
        <>
          <h3>{t("query_plan")}</h3>
          <pre class="code block">{plan.plan}</pre>
        </>
      )}
    </div>
  );
}
