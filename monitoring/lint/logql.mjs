// Reads a JSON list of LogQL queries from standard input and writes, for each, whether it parses and which labels it names.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const require = createRequire(process.argv[2] + "/package.json");
const { parser } = await import(pathToFileURL(require.resolve("@grafana/lezer-logql")));

function look(query) {
  const found = { error: "", stream: [], filters: [] };
  parser.parse(query).iterate({
    enter(node) {
      const text = query.slice(node.from, node.to);
      if (node.type.isError) found.error ||= `at ${node.from}: ${query.slice(node.from, node.from + 20)}`;
      if (node.name !== "Matcher") return;
      const inFilter = node.node.parent.name === "LabelFilter";
      (inFilter ? found.filters : found.stream).push(text.match(/^\w+/)[0]);
    },
  });
  return found;
}

const queries = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(queries.map(look)));
