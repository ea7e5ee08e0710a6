// How graphql-codegen makes the TypeScript client of clients/typescript from schema.graphql and operations/; `make clients`
// runs it. Copy it into your own project and change the paths: docs/clients.md.
import type { CodegenConfig } from "@graphql-codegen/cli";

const out = "generated";

const config: CodegenConfig = {
  schema: "../../graphql/schema.graphql",
  documents: "../../graphql/operations/*.graphql",
  generates: {
    // A typed document for each operation, for any client that knows TypedDocumentNode (Apollo, urql, graphql-request).
    [`${out}/`]: {
      preset: "client",
      presetConfig: { fragmentMasking: false },
      config: {
        strictScalars: true,
        scalars: { ID: "string", DateTime: "string", EventCursor: "string", SafeInt: "number", USD: "number" },
        enumsAsTypes: true,
        useTypeImports: true,
      },
    },
    // Apollo Client: new InMemoryCache({ possibleTypes }).
    [`${out}/possibleTypes.ts`]: { plugins: ["fragment-matcher"] },
    // urql: cacheExchange({ schema }) of @urql/exchange-graphcache.
    [`${out}/graphcache.ts`]: { plugins: ["urql-introspection"], config: { useTypeImports: true } },
  },
  emitLegacyCommonJSImports: false,
};

export default config;
