// Bundles explorer/src into one flat folder of files named by their content, and writes manifest.json, which names the
// page's entry files. Usage: node build.mjs [OUT] (default: dist).
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";

const out = process.argv[2] ?? "dist";
const common = {
  bundle: true,
  minify: true,
  metafile: true,
  outdir: out,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  legalComments: "linked",
  target: "es2022",
  define: { "process.env.NODE_ENV": '"production"' },
  logLevel: "error",
};

// GraphiQL's style sheet already holds Monaco's; without this every rule would be there twice.
const styleOfMonacoOnce = {
  name: "style-of-monaco-once",
  setup(plugins) {
    plugins.onLoad({ filter: /node_modules[\\/]monaco-editor[\\/].*\.css$/ }, () => ({ contents: "", loader: "js" }));
  },
};

/** The output file that an entry became. */
function outputOf(result, name) {
  const entries = Object.entries(result.metafile.outputs).filter(([, output]) => output.entryPoint);
  return entries.map(([file]) => basename(file)).find((file) => file.startsWith(`${name}-`));
}

const workers = {
  editor: "monaco-editor/esm/vs/editor/editor.worker.js",
  graphql: "monaco-graphql/esm/graphql.worker.js",
  json: "monaco-editor/esm/vs/language/json/json.worker.js",
};
const workerFiles = {};
for (const [name, entry] of Object.entries(workers)) {
  const result = await build({ ...common, entryPoints: { [`${name}-worker`]: entry }, format: "iife" });
  workerFiles[name] = outputOf(result, `${name}-worker`);
}

const page = await build({
  ...common,
  entryPoints: { explorer: "src/main.js", graphiql: "graphiql/style.css" },
  format: "esm",
  splitting: true,
  alias: { "fleetgraph/workers": "./src/workers.js" },
  define: { ...common.define, WORKER_FILES: JSON.stringify(workerFiles) },
  plugins: [styleOfMonacoOnce],
});
const manifest = { script: outputOf(page, "explorer"), style: outputOf(page, "graphiql") };
writeFileSync(join(out, "manifest.json"), JSON.stringify(manifest));
