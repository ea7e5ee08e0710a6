// The generated knowledge of the schema in the caches of Apollo Client and urql. The suite runs it: `npm run caches`.
import { InMemoryCache } from "@apollo/client";
import { Client, fetchExchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { parse } from "graphql";
import schema from "./generated/graphcache.js";
import possibleTypes from "./generated/possibleTypes.js";

const apollo = new InMemoryCache(possibleTypes);
const query = parse('{ node(id: "task_1") { __typename ... on Node { id } } }');
apollo.writeQuery({ query, data: { node: { __typename: "Task", id: "task_1" } } });
const kept = apollo.readQuery<{ node: { id?: string } }>({ query });
if (kept?.node.id !== "task_1") throw new Error("Apollo Client does not know that a Task is a Node");

const exchanges = [cacheExchange({ schema }), fetchExchange];
export const urql = new Client({ url: "http://127.0.0.1:5000/graphql", preferGetMethod: false, exchanges });
console.log(`Both caches know the schema: ${Object.keys(possibleTypes.possibleTypes).length} abstract types.`);
