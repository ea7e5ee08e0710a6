// PostGraphile v5 with its Amber preset on the tables as they are. Environment: PORT, PGHOST, PGUSER, PGDATABASE.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { jsonPgSmartTags } from "postgraphile/utils";

// The one relation that the database does not declare: a log line's task.
const relations = jsonPgSmartTags({
  version: 1,
  config: { class: { "public.log_lines": { tags: { foreignKey: "(task_id) references public.tasks (id)" } } } },
});

const port = Number(process.env.PORT);
const served = postgraphile({
  extends: [PostGraphileAmberPreset],
  plugins: [relations],
  pgServices: [
    makePgService({
      connectionString: "postgres:///",
      poolConfig: { host: process.env.PGHOST, user: process.env.PGUSER, database: process.env.PGDATABASE, max: 10 },
      schemas: ["public"],
      pubsub: false,
    }),
  ],
  grafast: { explain: false },
  grafserv: { port, watch: false, graphiql: false, graphqlPath: "/graphql" },
});
const server = createServer();
await served.createServ(grafserv).addTo(server);
server.listen(port, "127.0.0.1");
