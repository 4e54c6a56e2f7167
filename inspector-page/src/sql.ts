/** The tokens of a SQL text, for its colours. */

export interface Token {
  kind: "keyword" | "string" | "number" | "parameter" | "comment" | "plain";
  text: string;
}

const KEYWORDS = new Set(
  `ADD ALL ALTER AND AS ASC BEGIN BETWEEN BY CASCADE CASE CAST COMMIT CONFLICT CONSTRAINT COUNT CREATE CROSS DEFAULT DELETE
  DESC DISTINCT DO DROP ELSE END EXCEPT EXISTS EXPLAIN FALSE FETCH FOR FOREIGN FROM FULL GROUP HAVING IF ILIKE IN INDEX
  INNER INSERT INTERSECT INTO IS JOIN KEY LATERAL LEFT LIKE LIMIT NATURAL NOT NOTHING NULL OFFSET ON OR ORDER OUTER OVER
  PARTITION PRAGMA PRIMARY REFERENCES RELEASE RETURNING RIGHT ROLLBACK SAVEPOINT SELECT SET TABLE THEN TRUE UNION UNIQUE
  UPDATE USING VALUES VIEW WHEN WHERE WITH`.split(/\s+/),
);

const TOKEN =
  /(?<comment>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<string>'(?:[^']|'')*'?)|(?<parameter>\?|%\(\w+\)s|%s|\$\d+|(?<!:):\w+|@\w+)|(?<number>\b\d+(?:\.\d+)?\b)|(?<word>"(?:[^"]|"")*"?|[A-Za-z_]\w*)|(?<rest>[\s\S])/g;

/** The tokens of a text, in order; together they are the text. */
export function tokens(text: string): Token[] {
  const found: Token[] = [];
  for (const match of text.matchAll(TOKEN)) {
    const groups = match.groups ?? {};
    const kind = kindOf(match[0], groups);
    const last = found.at(-1);
    if (last && last.kind === kind) last.text += match[0];
    else found.push({ kind, text: match[0] });
  }
  return found;
}

function kindOf(text: string, groups: Record<string, string | undefined>): Token["kind"] {
  if (groups["comment"] !== undefined) return "comment";
  if (groups["string"] !== undefined) return "string";
  if (groups["parameter"] !== undefined) return "parameter";
  if (groups["number"] !== undefined) return "number";
  if (groups["word"] !== undefined && KEYWORDS.has(text.toUpperCase())) return "keyword";
  return "plain";
}
