// Bundle the page: `node build.mjs [FOLDER]` writes index.html and assets/ (default: the package's static folder).
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.argv[2] ?? join(here, "../blogauto_otel/inspector/static"));

await mkdir(join(target, "assets"), { recursive: true });
await build({
  absWorkingDir: here, // the output has no path of the machine, whatever the current folder
  entryPoints: { app: "src/main.tsx" },
  outdir: join(target, "assets"),
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome123", "firefox120", "safari17.5"], // light-dark() in CSS
  jsx: "automatic",
  jsxImportSource: "preact",
  charset: "utf8",
  legalComments: "eof",
  logLevel: "warning",
});
await copyFile(join(here, "src/index.html"), join(target, "index.html"));
